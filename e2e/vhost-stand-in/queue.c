// The driver's half of a split ring (virtio 1.3, section 2.7), with notifications as Linux' driver asks for them.
#include "vhost.h"
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void queue_create(struct queue *queue, unsigned index, unsigned entries, int usesEvents) {
  *queue = (struct queue){.index = index, .entries = entries, .usesEvents = usesEvents};
  queue->table = memory_allocate(index, sizeof *queue->table * entries, PAGE_BYTES);
  queue->available = memory_allocate(index, 6 + 2 * entries, PAGE_BYTES);
  queue->used = memory_allocate(index, 6 + sizeof *queue->used->ring * entries, PAGE_BYTES);
  queue->usedEvent = &queue->available->ring[entries];
  queue->availableEvent = (uint16_t *)&queue->used->ring[entries];
  queue->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  queue->call = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (queue->kick < 0 || queue->call < 0) fail("eventfd");
}

void queue_add(struct queue *queue, uint16_t head) {
  queue->available->ring[queue->next++ & (queue->entries - 1)] = head;
}

void queue_publish(struct queue *queue) {
  uint16_t before = queue->published;
  if (queue->next == before) return;
  queue->published = queue->next;
  __atomic_store_n(&queue->available->idx, queue->next, __ATOMIC_RELEASE);
  // The index must be visible before the device's wish is read.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  int wanted = queue->usesEvents
                   ? vring_need_event(__atomic_load_n(queue->availableEvent, __ATOMIC_RELAXED), queue->next, before)
                   : (__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY) == 0;
  if (!wanted) return;
  queue->kicks++;
  if (write(queue->kick, &(uint64_t){1}, 8) != 8) fail("kicking");
}

int queue_take(struct queue *queue, uint32_t *head, uint32_t *length) {
  if (__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) == queue->seen) return 0;
  const struct vring_used_elem *element = &queue->used->ring[queue->seen++ & (queue->entries - 1)];
  *head = element->id;
  *length = element->len;
  return 1;
}

int queue_arm(struct queue *queue, uint16_t delay) {
  if (queue->usesEvents) __atomic_store_n(queue->usedEvent, (uint16_t)(queue->seen + delay), __ATOMIC_RELAXED);
  else __atomic_store_n(&queue->available->flags, 0, __ATOMIC_RELAXED);
  // The wish must be visible before the index is read.
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  uint16_t used = __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE);
  return (uint16_t)(used - queue->seen) > (queue->usesEvents ? delay : 0);
}

void queue_disarm(struct queue *queue) {
  // With event indices, the one that has been passed asks for nothing further.
  if (!queue->usesEvents) __atomic_store_n(&queue->available->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}
