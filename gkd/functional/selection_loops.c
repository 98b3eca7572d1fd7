/* The k smallest numbers of each row of a matrix, in two passes over the row; see selection.py.

   Compiled for the machine they run on, once for float and once for double: this file includes
   itself. */

#ifndef T

#include <stdint.h>
#include <string.h>

/* Of a vector: where a processor has shorter ones, numbers are compared one by one. */
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
#define INLINE static inline __attribute__((always_inline))

#define T float
#define BITS int32_t
#define NAMED(name) name##_float
#include "selection_loops.c"
#undef T
#undef BITS
#undef NAMED

#define T double
#define BITS int64_t
#define NAMED(name) name##_double
#include "selection_loops.c"

#else

#define LANES ((int64_t)(BYTES / sizeof(T)))
#define VECTOR NAMED(vector)
#define MASK NAMED(mask)

typedef T VECTOR __attribute__((vector_size(BYTES)));
typedef BITS MASK __attribute__((vector_size(BYTES)));
typedef int8_t NAMED(bytes) __attribute__((vector_size(BYTES / sizeof(T))));
typedef T NAMED(stored) __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

INLINE VECTOR NAMED(load)(const T *from) { return *(const NAMED(stored) *)from; }
INLINE void NAMED(store)(T *to, VECTOR vector) { *(NAMED(stored) *)to = vector; }

INLINE VECTOR NAMED(either)(MASK which, VECTOR a, VECTOR b) {
  return (VECTOR)(((MASK)a & which) | ((MASK)b & ~which));
}

/* Whether any lane is set. */
INLINE int NAMED(any)(MASK mask) {
  uint64_t bits[2] = {0};
  NAMED(bytes) bytes = __builtin_convertvector(mask, NAMED(bytes));
  memcpy(bits, &bytes, sizeof(bytes));
  return (bits[0] | bits[1]) != 0;
}

/* The k-th smallest of some whole vectors of numbers: the largest that fewer than k are below. Of few
   numbers, to count those is faster than to move them about. */
INLINE T NAMED(kth)(const T *numbers, int64_t count, int64_t k) {
  VECTOR largest = (VECTOR){0} - (T)__builtin_inf();
  for (int64_t n = 0; n < count; n += LANES) {
    VECTOR own = NAMED(load)(numbers + n);
    MASK below = {0};
    for (int64_t other = 0; other < count; other++)
      below -= (VECTOR){0} + numbers[other] < own;
    largest = NAMED(either)((below < (MASK){0} + (BITS)k) & (own > largest), own, largest);
  }
  T result = largest[0];
  for (int64_t lane = 1; lane < LANES; lane++)
    if (largest[lane] > result) result = largest[lane];
  return result;
}

/* kth[r] = the k-th smallest of the minima of groups of numbers of row r, which take turns along it.
   They are whole vectors; what is left at the end of a row belongs to none. */
void NAMED(bound)(const T *rows, int64_t count, int64_t size, int64_t k, int64_t groups, T *minima,
                  T *kth) {
  for (int64_t r = 0; r < count; r++, rows += size) {
    for (int64_t g = 0; g < groups; g += LANES) {
      VECTOR least = NAMED(load)(rows + g);
      for (int64_t first = groups; first + groups <= size; first += groups) {
        VECTOR next = NAMED(load)(rows + first + g);
        least = NAMED(either)(next < least, next, least);
      }
      NAMED(store)(minima + g, least);
    }
    kth[r] = NAMED(kth)(minima, groups, k);
  }
}

/* Keeps a number behind those that were found, where the next is written over it unless it is up to
   the bound; returns how many there are. */
INLINE int64_t NAMED(keep)(const T *row, int64_t column, T bound, T *values, int64_t *places,
                           int64_t found) {
  values[found] = row[column];
  places[found] = column;
  return found + (row[column] <= bound);
}

/* limit[r] = the k-th smallest number of row r, which bound[r] is not below, plus slack[r]. Unless
   more than k are up to it, and the choice is not certain, columns[r] = where they are. Values have
   room for a row and a vector, places for a row. */
void NAMED(choose)(const T *rows, int64_t count, int64_t size, int64_t k, const T *bound,
                   const T *slack, T *values, int64_t *places, int64_t *columns, uint8_t *certain,
                   T *limit) {
  for (int64_t r = 0; r < count; r++, rows += size, columns += k) {
    int64_t found = 0, chosen = 0, c = 0;
    for (; c + LANES <= size; c += LANES)
      if (NAMED(any)(NAMED(load)(rows + c) <= (VECTOR){0} + bound[r]))
        for (int64_t lane = 0; lane < LANES; lane++)
          found = NAMED(keep)(rows, c + lane, bound[r], values, places, found);
    for (; c < size; c++) found = NAMED(keep)(rows, c, bound[r], values, places, found);
    int64_t filled = (found + LANES - 1) / LANES * LANES;
    for (int64_t n = found; n < filled; n++) values[n] = __builtin_inf();
    limit[r] = NAMED(kth)(values, filled, k) + slack[r];
    for (int64_t n = 0; n < found; n++) chosen += values[n] <= limit[r];
    certain[r] = chosen == k;
    for (int64_t n = 0, column = 0; certain[r] && n < found; n++)
      if (values[n] <= limit[r]) columns[column++] = places[n];
  }
}

#undef LANES
#undef VECTOR
#undef MASK

#endif
