/* The k nearest points of each, from a matrix of distances, in two passes over each row; see selection.py.

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
/* One bit for each lane of a mask, where there is an instruction for that. */
#if defined(__AVX512DQ__)
#include <immintrin.h>
#define BITS_float(mask) _mm512_movepi32_mask((__m512i)(mask))
#define BITS_double(mask) _mm512_movepi64_mask((__m512i)(mask))
#elif defined(__AVX2__) && !defined(__AVX512F__)
#include <immintrin.h>
#define BITS_float(mask) _mm256_movemask_ps((__m256)(mask))
#define BITS_double(mask) _mm256_movemask_pd((__m256d)(mask))
#endif

#define MOST 256 /* candidates whose distances are computed again one by one */
#define FEW 3 /* of 64 numbers */
#define INLINE static inline __attribute__((always_inline))

#define T float
#define INTEGER int32_t
#define NAMED(name) name##_float
#define EVERY_BIT BITS_float
#include "selection_loops.c"
#undef T
#undef INTEGER
#undef NAMED
#undef EVERY_BIT

#define T double
#define INTEGER int64_t
#define NAMED(name) name##_double
#define EVERY_BIT BITS_double
#include "selection_loops.c"

#else

#define LANES ((int64_t)(BYTES / sizeof(T)))
#define VECTOR NAMED(vector)
#define MASK NAMED(mask)

typedef T VECTOR __attribute__((vector_size(BYTES)));
typedef INTEGER MASK __attribute__((vector_size(BYTES)));
typedef int8_t NAMED(bytes) __attribute__((vector_size(BYTES / sizeof(T))));
typedef T NAMED(stored) __attribute__((vector_size(BYTES), aligned(sizeof(T)), may_alias));

INLINE VECTOR NAMED(load)(const T *from) { return *(const NAMED(stored) *)from; }
INLINE void NAMED(store)(T *to, VECTOR vector) { *(NAMED(stored) *)to = vector; }

INLINE VECTOR NAMED(either)(MASK which, VECTOR a, VECTOR b) {
  return (VECTOR)(((MASK)a & which) | ((MASK)b & ~which));
}

/* One bit for each lane, the first the lowest. */
INLINE uint64_t NAMED(bits)(MASK mask) {
#ifdef BITS_float
  return EVERY_BIT(mask);
#else
  uint64_t bytes[2] = {0}, bits = 0;
  NAMED(bytes) lanes = __builtin_convertvector(mask, NAMED(bytes));
  memcpy(bytes, &lanes, sizeof(lanes));
  /* Eight bytes of 0 or 1 each become eight bits by one product, the first of them the lowest. */
  for (int half = 0; half < (LANES + 7) / 8; half++)
    bits |= (((bytes[half] & 0x0101010101010101u) * 0x0102040810204080u) >> 56) << (8 * half);
  return bits;
#endif
}

/* The k-th smallest of some whole vectors of numbers: the largest that fewer than k are below. Of few
   numbers, to count those is faster than to move them about. */
INLINE T NAMED(kth)(const T *numbers, int64_t count, int64_t k) {
  VECTOR largest = (VECTOR){0} - (T)__builtin_inf();
  for (int64_t n = 0; n < count; n += 2 * LANES) {
    /* Two vectors at a time, the second once more where there is none. */
    VECTOR own = NAMED(load)(numbers + n);
    VECTOR next = n + LANES < count ? NAMED(load)(numbers + n + LANES) : own;
    MASK below = {0}, below_next = {0};
    for (int64_t other = 0; other < count; other++) {
      VECTOR each = (VECTOR){0} + numbers[other];
      below -= each < own;
      below_next -= each < next;
    }
    MASK limit = (MASK){0} + (INTEGER)k;
    largest = NAMED(either)((below < limit) & (own > largest), own, largest);
    largest = NAMED(either)((below_next < limit) & (next > largest), next, largest);
  }
  T result = largest[0];
  for (int64_t lane = 1; lane < LANES; lane++)
    if (largest[lane] > result) result = largest[lane];
  return result;
}

/* Distances of points from one, less what they have in common, by their products and squared norms. */
#define APART(product, end) ((end) - 2 * (product))

/* A number that the k-th smallest distance of a row does not exceed: the k-th smallest of the minima
   of groups, whole vectors of them, which take turns along the row. What is left at its end belongs
   to none. */
INLINE T NAMED(bound)(const T *row, const T *ends, int64_t size, int64_t k, int64_t groups,
                      T *minima) {
  for (int64_t g = 0; g < groups; g += LANES) {
    VECTOR least = APART(NAMED(load)(row + g), NAMED(load)(ends + g));
    for (int64_t c = g + groups; c - g + groups <= size; c += groups) {
      VECTOR next = APART(NAMED(load)(row + c), NAMED(load)(ends + c));
      least = NAMED(either)(next < least, next, least);
    }
    NAMED(store)(minima + g, least);
  }
  return NAMED(kth)(minima, groups, k);
}

/* Writes the distances of a row that do not exceed the bound, and where they are; returns how many. */
INLINE int64_t NAMED(up_to)(const T *row, const T *ends, int64_t size, T bound, T *values,
                            int64_t *places) {
  int64_t found = 0;
  for (int64_t c = 0; c < size;) {
    /* First 64 of them, without a branch, then those that are meant: mostly few, so that some are
       written whether they are or not, and the next ones over them. */
    uint64_t meant = 0;
    int64_t first = c, whole = c + 64 <= size ? c + 64 : size;
    for (; c + LANES <= whole; c += LANES) {
      VECTOR each = APART(NAMED(load)(row + c), NAMED(load)(ends + c));
      meant |= NAMED(bits)(each <= (VECTOR){0} + bound) << (c - first);
    }
    for (; c < whole; c++) meant |= (uint64_t)(APART(row[c], ends[c]) <= bound) << (c - first);
    for (int few = 0; few < FEW || meant; few++) {
      int64_t column = meant ? first + __builtin_ctzll(meant) : first;
      values[found] = APART(row[column], ends[column]);
      places[found] = column;
      found += meant != 0;
      meant &= meant - 1;
    }
  }
  return found;
}

/* Writes the k nearest of some candidates, by their distances in double precision, and returns
   whether there were few enough to do so. Distances of the matrix are differences of products, which
   cancel; these are products of differences. The point itself comes first. */
static int NAMED(settle)(const T *features, int64_t channels, int64_t start, int64_t own,
                         const int64_t *places, int64_t found, int64_t k, int64_t *columns) {
  double apart[MOST];
  if (found > MOST) return 0;
  for (int64_t n = 0; n < found; n++) {
    const T *here = features + (start + own) * channels;
    const T *there = features + (start + places[n]) * channels;
    double sum = 0;
    for (int64_t c = 0; c < channels; c++) {
      double difference = (double)there[c] - (double)here[c];
      sum += difference * difference;
    }
    apart[n] = places[n] == own ? -1 : sum;
  }
  for (int64_t n = 0, column = 0; n < found; n++) {
    int64_t before = 0;
    for (int64_t other = 0; other < found; other++)
      before += apart[other] < apart[n] || (apart[other] == apart[n] && other < n);
    if (before < k) columns[column++] = places[n];
  }
  return 1;
}

/* columns[r] = where the k nearest points of that of row r are, ascending. Rows are the products of
   a point with those of its cloud, which is one of count pairs of start and size; each has per rows
   and as many ends, squared norms, as a row is long. The first of its rows is that of its point
   number first, norms[r] the squared norm of row r's. Two distances that differ by less than rounding
   are compared again; where these are many, certain[r] is 0 and columns[r] is not set. limit[r] =
   what the k smallest do not exceed. Minima have room for the groups, values for a row and a vector,
   places for one more than a row. */
void NAMED(nearest)(T *rows, const T *ends, const T *norms, const int64_t *clouds, int64_t count,
                    int64_t per, int64_t size, int64_t first, int64_t k, int64_t groups,
                    double precision, double tiny, const T *features, int64_t channels, T *minima,
                    T *values, int64_t *places, int64_t *columns, uint8_t *certain, T *limit) {
  for (int64_t r = 0; r < count * per; r++, rows += size, columns += k) {
    const int64_t *cloud = clouds + r / per * 2;
    const T *others = ends + r / per * size;
    int64_t own = first + r % per, chosen = 0;
    certain[r] = own >= cloud[1]; /* no point of a smaller cloud */
    limit[r] = __builtin_inf();
    if (certain[r]) continue;
    rows[own] = __builtin_inf(); /* it comes first, whatever coincides with it */
    T bound = NAMED(bound)(rows, others, size, k, groups, minima);
    T slack = (T)precision * (20 * norms[r] + 4 * bound) + (T)tiny;
    int64_t found = NAMED(up_to)(rows, others, size, bound + slack, values, places);
    int64_t filled = (found + LANES - 1) / LANES * LANES;
    for (int64_t n = found; n < filled; n++) values[n] = __builtin_inf();
    limit[r] = NAMED(kth)(values, filled, k) + slack;
    for (int64_t n = 0; n < found; n++) {
      places[chosen] = places[n];
      chosen += values[n] <= limit[r];
    }
    certain[r] = chosen == k;
    if (certain[r])
      memcpy(columns, places, k * sizeof(int64_t));
    else
      certain[r] = NAMED(settle)(features, channels, cloud[0], own, places, chosen, k, columns);
  }
}

#undef LANES
#undef APART
#undef VECTOR
#undef MASK

#endif
