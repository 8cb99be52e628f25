/**
 * Conversations that a fuzzer starts from: one message a line, with the request, its flags, the payload in hexadecimal,
 * and its descriptors: m, memory; e, an event; f, a file that is empty. Words in braces are filled in.
 */
export const CORPUS: readonly string[] = [
  // A whole start, and a stop.
  `3 1 - -
16 1 {protocol} -
2 1 {features} -
5 1 0200000000000000{low}{high} mm
8 1 0000000040000000 -
10 1 0000000000000000 -
9 1 {addresses0} -
13 1 0000000000000000 e
14 1 0000000000000000 e
12 1 0000000000000000 0
8 1 0100000040000000 -
10 1 0100000000000000 -
9 1 {addresses1} -
13 1 0100000000000000 e
12 1 0100000000000000 1
18 1 0000000001000000 -
18 1 0100000001000000 -
11 1 0000000000000000 -
11 1 0100000000000000 -`,
  // Memory by slots, a log, and features that change while rings run.
  `16 1 {protocol} -
2 1 {features} -
36 9 - -
37 9 0000000000000000{low} m
37 9 0000000000000000{high} m
8 9 0100000040000000 -
9 9 {addresses1} -
12 9 0100000000000000 1
18 9 0100000001000000 -
6 1 00000400000000000000000000000000 m
2 9 0180000401000000 -
37 9 0000000000000000{plugged} m
38 9 0000000000000000{plugged} m
38 9 0000000000000000{low} -
37 9 0000000000000000{low} m
34 9 - -`,
  // Polling, a status, an MTU, and questions.
  `1 1 - -
15 1 - -
16 1 {protocol} -
17 1 - -
2 1 {features} -
39 9 0f00000000000000 -
40 1 - -
20 9 dc05000000000000 -
20 9 ffffffffffffffff -
5 9 0100000000000000{low} m
8 9 0100000040000000 -
9 9 {addresses1} -
12 9 0101000000000000 -
18 9 0100000001000000 -
39 9 0000000000000000 -
4 9 - -`,
  // Found by the fuzzer: a request that fails while rings run; a region that has a ring; a log before a new table.
  `16 1 {protocol} -
2 1 {features} -
5 9 0200000000000000{low}{high} mm
8 9 0100000040000000 -
9 9 {addresses1} -
12 9 0100000000000000 1
37 9 0000000000000000{low} m
6 1 00000400000000000000000000000000 m
5 9 0100000000000000{low} f
5 9 0200000000000000{low}{high} mm
38 9 0000000000000000{low} -
12 9 0100000000000000 f
12 9 0100000000000000 1`,
]
