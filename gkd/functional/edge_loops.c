/* Loops over edges whose two ends no product of matrices compares; see edge_loops.py.

   Compiled for the machine they run on, once for float and once for double. Rows of x are
   contiguous, of `width` numbers. */

#include <stdint.h>

#define AHEAD 4 /* edges: how far the rows to come are asked of memory beforehand */

#define LOOPS(NAME, T)                                                                          \
  /* out[e] = sum |x[target[e]] - x[source[e]]| for the edges from first up to last. */         \
  void l1_distances_##NAME(const T *x, const int64_t *target, const int64_t *source,            \
                           int64_t first, int64_t last, int64_t width, T *out) {                \
    for (int64_t e = first; e < last; e++) {                                                    \
      const T *a = x + target[e] * width, *b = x + source[e] * width;                           \
      if (e + AHEAD < last) {                                                                   \
        const T *next = x + source[e + AHEAD] * width;                                          \
        for (int64_t c = 0; c < width; c += 64 / sizeof(T)) __builtin_prefetch(next + c);       \
      }                                                                                         \
      T sum = 0;                                                                                \
      _Pragma("omp simd reduction(+ : sum)") for (int64_t c = 0; c < width; c++) {              \
        T apart = a[c] - b[c];                                                                  \
        sum += apart < 0 ? -apart : apart;                                                      \
      }                                                                                         \
      out[e] = sum;                                                                             \
    }                                                                                           \
  }                                                                                             \
                                                                                                \
  /* result[r] += sum values[e] sign(x[r] - x[columns[e]]) for the rows from first to last. */  \
  void l1_slopes_##NAME(const T *x, const int64_t *pointer, const int64_t *columns,             \
                        const T *values, int64_t first, int64_t last, int64_t width,            \
                        T *result) {                                                            \
    for (int64_t r = first; r < last; r++) {                                                    \
      const T *a = x + r * width;                                                               \
      T *out = result + r * width;                                                              \
      for (int64_t e = pointer[r]; e < pointer[r + 1]; e++) {                                   \
        const T *b = x + columns[e] * width;                                                    \
        T value = values[e];                                                                    \
        _Pragma("omp simd") for (int64_t c = 0; c < width; c++) {                               \
          T apart = a[c] - b[c];                                                                \
          out[c] += apart > 0 ? value : apart < 0 ? -value : 0;                                 \
        }                                                                                       \
      }                                                                                         \
    }                                                                                           \
  }

LOOPS(float, float)
LOOPS(double, double)
