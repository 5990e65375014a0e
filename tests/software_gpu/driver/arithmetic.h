// The operations of PTX for which C++ has no operator or function.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

namespace gpu {

template <class To, class From>
static inline To bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

// On a GPU, integer division by 0 has a result and raises no exception.
template <class T>
static inline T quotient(T x, T y) {
  if (y == 0) return static_cast<T>(-1);
  if (std::is_signed<T>::value && y == static_cast<T>(-1)) return static_cast<T>(0 - static_cast<uint64_t>(x));
  return x / y;
}

template <class T>
static inline T remainderOf(T x, T y) {
  if (y == 0) return x;
  if (std::is_signed<T>::value && y == static_cast<T>(-1)) return 0;
  return x % y;
}

// cvt.rzi rounds towards zero. A number that is too large or too small becomes the nearest integer of the type. NaN becomes 0,
// or the smallest integer if the type has 64 bits.
template <class I, class F>
static inline I truncated(F x) {
  using Limits = std::numeric_limits<I>;
  if (x != x) return sizeof(I) == 8 ? static_cast<I>(0x8000000000000000ull) : 0;
  if (x >= std::ldexp(static_cast<F>(1), Limits::digits)) return Limits::max();
  if (x <= static_cast<F>(Limits::min())) return Limits::min();
  return static_cast<I>(x);
}

// Sets the rounding mode in the control register. The operations that depend on the mode are in assembly, so that the compiler
// does not move them to a place with another rounding mode.
enum : uint32_t { ROUND_DOWN = 0x2000, ROUND_TO_ZERO = 0x6000, ROUND_MASK = 0x6000 };

class Rounding {
 public:
  explicit Rounding(uint32_t mode) {
    asm volatile("stmxcsr %0" : "=m"(before));
    uint32_t now = (before & ~ROUND_MASK) | mode;
    asm volatile("ldmxcsr %0" : : "m"(now));
  }
  ~Rounding() {
    asm volatile("ldmxcsr %0" : : "m"(before));
  }

 private:
  uint32_t before;
};

static inline float fmaDown(float x, float y, float z) {
  Rounding rounding(ROUND_DOWN);
  asm volatile("vfmadd231ss %2, %1, %0" : "+x"(z) : "x"(x), "x"(y));
  return z;
}

static inline float addToZero(float x, float y) {
  Rounding rounding(ROUND_TO_ZERO);
  float sum;
  asm volatile("vaddss %2, %1, %0" : "=x"(sum) : "x"(x), "x"(y));
  return sum;
}

template <class F>
static inline F flushed(F x) {
  return std::fabs(x) < std::numeric_limits<F>::min() ? std::copysign(static_cast<F>(0), x) : x;
}

// `powerOf2` computes ex2.approx.ftz.f32, and `approximateReciprocal` computes rcp.approx.ftz.f64. Both are more accurate than
// on a GPU.
static inline float powerOf2(float x) {
  return flushed(static_cast<float>(std::exp2(static_cast<double>(flushed(x)))));
}

static inline double approximateReciprocal(double x) {
  double r = flushed(1 / flushed(x));
  return r != r ? r : bits<double>(bits<uint64_t>(r) & 0xFFFFFFFF00000000ull);  // a GPU computes only the upper 32 bits
}

static inline float saturated(float x) {
  return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f;
}

}  // namespace gpu
