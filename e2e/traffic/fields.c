#include "traffic.h"

#include <stdlib.h>
#include <string.h>

/* The last field of that name counts. */
const char *text_of(const struct fields *fields, const char *key) {
  size_t length = strlen(key);
  for (int index = fields->count - 1; index >= 0; index--) {
    const char *word = fields->words[index];
    if (strncmp(word, key, length) == 0 && word[length] == '=') return word + length + 1;
  }
  return NULL;
}

uint64_t number_of(const struct fields *fields, const char *key, uint64_t otherwise) {
  const char *text = text_of(fields, key);
  return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

int list_of(const struct fields *fields, const char *key, char **parts, int most) {
  int count = 0;
  char *rest = (char *)text_of(fields, key);
  while (rest != NULL && *rest != '\0' && count < most) parts[count++] = strsep(&rest, ",");
  return count;
}

struct fields words_of(char *line, char **words, int most) {
  struct fields fields = {.words = words};
  while (line != NULL && fields.count < most) words[fields.count++] = strsep(&line, "\t");
  return fields;
}
