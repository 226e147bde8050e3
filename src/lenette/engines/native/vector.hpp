// Vectors of the machine at hand, in the vector extensions of GCC and Clang. Every lane holds another image.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#ifndef LENETTE_SCALAR
#define LENETTE_SCALAR float
#endif

namespace lenette {

using Scalar = LENETTE_SCALAR;

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRegisters = 32;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kRegisters = 32;
#else
constexpr int kVectorBytes = 16, kRegisters = 16;
#endif

constexpr int kLanes = kVectorBytes / sizeof(Scalar);
// Registers that a tile may fill with running sums; the rest hold its operands.
constexpr int kAccumulators = kRegisters * 3 / 4;

using Integer = std::conditional_t<sizeof(Scalar) == 4, int32_t, int64_t>;
typedef Scalar Vector __attribute__((vector_size(kVectorBytes)));
typedef Integer Mask __attribute__((vector_size(kVectorBytes)));  // a lane is 0 or -1
using Buffer = std::unique_ptr<Vector[]>;
using Bits = uint16_t;  // a bit for each lane

// Zeros.
inline Buffer make_buffer(size_t size) {
    Vector* zeros = new (std::nothrow) Vector[size]();
    const size_t megabytes = (size * sizeof(Vector) + 999999) / 1000000;
    if (!zeros) throw std::runtime_error("no memory for another " + std::to_string(megabytes) + " MB");
    return Buffer(zeros);
}

inline Vector select(Mask mask, Vector a, Vector b) { return mask ? a : b; }
inline Vector keep(Mask mask, Vector a) { return mask ? a : Vector{}; }
inline Vector maximum(Vector a, Vector b) { return a > b ? a : b; }  // b, where one is not a number

inline Mask lane_numbers() {
    Mask numbers{};
    for (int lane = 0; lane < kLanes; ++lane) numbers[lane] = lane;
    return numbers;
}

inline Mask expand(Bits bits) {
    Mask bit_of_lane{};
    for (int lane = 0; lane < kLanes; ++lane) bit_of_lane[lane] = Integer(1) << lane;
    return ((Mask{} + Integer(bits)) & bit_of_lane) != 0;
}

inline Vector load(const Scalar* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

inline double sum_lanes(Vector v, Mask valid) {
    double sum = 0;
    for (int lane = 0; lane < kLanes; ++lane) sum += valid[lane] ? double(v[lane]) : 0.0;
    return sum;
}

// Of two rows, the columns whose number has the bit DISTANCE clear, those of b moved up; and those that have it set,
// those of a moved down. These two steps transpose, and their sum adds neighbours.
template <int DISTANCE, size_t... LANE>
inline Vector lower_columns(Vector a, Vector b, std::index_sequence<LANE...>) {
    return __builtin_shufflevector(a, b, ((LANE & DISTANCE) ? LANE - DISTANCE + kLanes : LANE)...);
}

template <int DISTANCE, size_t... LANE>
inline Vector upper_columns(Vector a, Vector b, std::index_sequence<LANE...>) {
    return __builtin_shufflevector(a, b, ((LANE & DISTANCE) ? LANE + kLanes : LANE + DISTANCE)...);
}

// Make rows columns, kLanes of each.
template <int DISTANCE = kLanes / 2>
inline void transpose(Vector* rows) {
    constexpr auto lanes = std::make_index_sequence<kLanes>();
#pragma GCC unroll 16
    for (int i = 0; i < kLanes; ++i) {
        if (i & DISTANCE) continue;
        const Vector a = rows[i], b = rows[i + DISTANCE];
        rows[i] = lower_columns<DISTANCE>(a, b, lanes);
        rows[i + DISTANCE] = upper_columns<DISTANCE>(a, b, lanes);
    }
    if constexpr (DISTANCE > 1) transpose<DISTANCE / 2>(rows);
}

// The sum over the lanes of each of kLanes vectors: a tree whose levels halve the number of vectors.
template <int DISTANCE = 1>
inline Vector sum_each(const Vector* v) {
    if constexpr (DISTANCE == kLanes) {
        return v[0];
    } else {
        constexpr auto lanes = std::make_index_sequence<kLanes>();
        Vector halves[kLanes / 2 / DISTANCE];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes / 2 / DISTANCE; ++i)
            halves[i] = lower_columns<DISTANCE>(v[2 * i], v[2 * i + 1], lanes) +
                        upper_columns<DISTANCE>(v[2 * i], v[2 * i + 1], lanes);
        return sum_each<DISTANCE * 2>(halves);
    }
}

template <class F>
inline Vector each_lane(Vector x, F f) {
    for (int lane = 0; lane < kLanes; ++lane) x[lane] = f(x[lane]);
    return x;
}

inline Vector square_root(Vector x) {
    return each_lane(x, [](Scalar v) { return std::sqrt(v); });
}

inline Vector polynomial(Vector x, std::initializer_list<double> highest_first) {
    Vector p = Vector{} + Scalar(*highest_first.begin());
    for (auto factor = highest_first.begin() + 1; factor != highest_first.end(); ++factor) p = p * x + Scalar(*factor);
    return p;
}

struct Reduced {
    Vector power, rest;
};

// exp(x) = power * exp(rest), |rest| <= ln(2) / 2, float32.
inline Reduced reduce(Vector x) {
    const Vector zero{};
    x = select(x > Scalar(88), zero + Scalar(88), x);
    x = select(x < Scalar(-87), zero - Scalar(87), x);
    const Scalar to_integer = 12582912;  // 1.5 * 2^23: adding it rounds
    const Vector n = (x * Scalar(1.44269504088896341) + to_integer) - to_integer;
    const Vector r = (x - n * Scalar(0.693359375)) + n * Scalar(2.12194440e-4);  // ln 2 in two parts
    const Mask exponent = (__builtin_convertvector(n, Mask) + 127) << 23;
    Vector power;
    std::memcpy(&power, &exponent, sizeof power);
    return {power, r};
}

// exp to 2 units in the last place: 2^n times the Taylor series of the rest.
inline Vector exponential(Vector x) {
    if constexpr (sizeof(Scalar) == 8) {
        return each_lane(x, [](double v) { return std::exp(v); });
    } else {
        const Reduced part = reduce(x);
        return polynomial(part.rest, {1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1.0, 1.0}) * part.power;
    }
}

// exp(x) - 1, to the last places near 0 too.
inline Vector exponential_less_one(Vector x) {
    if constexpr (sizeof(Scalar) == 8) {
        return each_lane(x, [](double v) { return std::expm1(v); });
    } else {
        const Reduced part = reduce(x);
        const auto series = {1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1.0};
        return polynomial(part.rest, series) * part.rest * part.power + (part.power - 1);
    }
}

// log(1 + x) for x in [0, 1]: 2 atanh(s), s = x / (2 + x) <= 1/3.
inline Vector logarithm_of_one_and(Vector x) {
    if constexpr (sizeof(Scalar) == 8) {
        return each_lane(x, [](double v) { return std::log1p(v); });
    } else {
        const Vector s = x / (2 + x);
        return 2 * s * polynomial(s * s, {1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3, 1.0});
    }
}

// The normal distribution's share below z, erfc(-z / sqrt(2)) / 2. In float32 by the Chebyshev fit of
// Press et al., Numerical Recipes (2nd edition, 6.2), whose relative error is below 1.2e-7, a unit in the last place.
inline Vector normal_below(Vector z) {
    const Vector x = z * Scalar(-0.7071067811865476);
    if constexpr (sizeof(Scalar) == 8) {
        return each_lane(x, [](double v) { return std::erfc(v) / 2; });
    } else {
        const Vector distance = maximum(x, -x), t = 1 / (1 + Scalar(0.5) * distance);
        const Vector series = polynomial(t, {0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806,
                                             0.09678418, 0.37409196, 1.00002368, -1.26551223});
        const Vector half_tail = Scalar(0.5) * t * exponential(series - distance * distance);
        return select(x > 0, half_tail, 1 - half_tail);
    }
}

// Call f(size, start) for tiles of at most MAX that cover N as evenly as can be; size is a compile-time constant.
template <int N, int MAX, class F>
inline void for_tiles(F&& f) {
    constexpr int count = (N + MAX - 1) / MAX, base = N / count, larger = N % count;
    if constexpr (larger > 0)
        for (int tile = 0; tile < larger; ++tile) f(std::integral_constant<int, base + 1>(), tile * (base + 1));
    for (int tile = 0; tile < count - larger; ++tile)
        f(std::integral_constant<int, base>(), larger * (base + 1) + tile * base);
}

}  // namespace lenette
