// The two inner kernels of convolutions and linear layers: a tile of running sums that stays in registers.
#pragma once

#include "vector.hpp"

namespace lenette {

#define LENETTE_UNROLL _Pragma("GCC unroll 64")

// How many of the channels a tile of few channels with many pixels, or many channels with few, takes: as the registers hold.
constexpr int tile_channels(int channels) {
    constexpr int most = kAccumulators / 5 + 1;
    const int tiles = (channels + most - 1) / most;
    return (channels + tiles - 1) / tiles;
}

// CO output channels by PX neighbouring pixels: y[co][px] = bias[co] + sum over ci, kh, kw of w * x.
// x: the window's first pixel; w: packed [ci][kh][kw][CO]; each weight is broadcast to all lanes.
template <int KH, int KW, int STRIDE, int DILATION, int CO, int PX>
__attribute__((noinline)) void output_tile(const Vector* __restrict x, long x_plane, long x_row, int in_channels,
                                           const Scalar* __restrict w, const Scalar* bias, Vector* __restrict y,
                                           long y_plane) {
    Vector sum[CO][PX];
    LENETTE_UNROLL
    for (int co = 0; co < CO; ++co) {
        const Vector start = Vector{} + (bias ? bias[co] : Scalar(0));
        LENETTE_UNROLL
        for (int px = 0; px < PX; ++px) sum[co][px] = start;
    }
    for (int ci = 0; ci < in_channels; ++ci, x += x_plane) {
#pragma GCC unroll 3
        for (int kh = 0; kh < KH; ++kh) {
            LENETTE_UNROLL
            for (int kw = 0; kw < KW; ++kw, w += CO) {
                LENETTE_UNROLL
                for (int px = 0; px < PX; ++px) {
                    LENETTE_UNROLL
                    for (int co = 0; co < CO; ++co) sum[co][px] += w[co] * x[kh * x_row + kw * DILATION + px * STRIDE];
                }
            }
        }
    }
    LENETTE_UNROLL
    for (int co = 0; co < CO; ++co) {
        LENETTE_UNROLL
        for (int px = 0; px < PX; ++px) y[co * y_plane + px] = sum[co][px];
    }
}

// CO output channels by ROWS rows of kernels (a row: one input channel and one kh) by KW taps:
// gradient[co][row][kw] += sum over pixels and lanes of dy[co] * x[row][pixel + kw].
template <int ROWS, int KW, int DILATION, int CO>
__attribute__((noinline)) void weight_tile(const Vector* const* rows, long x_line, long x_step,
                                           const Vector* __restrict dy, long dy_plane, long dy_line, long dy_step,
                                           int lines, int pixels, Scalar* __restrict gradient, long co_stride) {
    constexpr int count = CO * ROWS * KW, padded = (count + kLanes - 1) / kLanes * kLanes;
    Vector sum[CO][ROWS][KW];
    const Vector* x[ROWS];
    LENETTE_UNROLL
    for (int co = 0; co < CO; ++co) {
        LENETTE_UNROLL
        for (int row = 0; row < ROWS; ++row) {
            LENETTE_UNROLL
            for (int kw = 0; kw < KW; ++kw) sum[co][row][kw] = Vector{};
        }
    }
    for (int row = 0; row < ROWS; ++row) x[row] = rows[row];
    for (int line = 0; line < lines; ++line, dy += dy_line) {
        for (int pixel = 0; pixel < pixels; ++pixel) {
            Vector d[CO];
            LENETTE_UNROLL
            for (int co = 0; co < CO; ++co) d[co] = dy[co * dy_plane + pixel * dy_step];
            LENETTE_UNROLL
            for (int row = 0; row < ROWS; ++row) {
                LENETTE_UNROLL
                for (int kw = 0; kw < KW; ++kw) {
                    const Vector v = x[row][pixel * x_step + kw * DILATION];
                    LENETTE_UNROLL
                    for (int co = 0; co < CO; ++co) sum[co][row][kw] += v * d[co];
                }
            }
        }
        for (int row = 0; row < ROWS; ++row) x[row] += x_line;
    }
    Vector flat[padded];
    LENETTE_UNROLL
    for (int co = 0; co < CO; ++co) {
        LENETTE_UNROLL
        for (int row = 0; row < ROWS; ++row) {
            LENETTE_UNROLL
            for (int kw = 0; kw < KW; ++kw) flat[(co * ROWS + row) * KW + kw] = sum[co][row][kw];
        }
    }
    LENETTE_UNROLL
    for (int i = count; i < padded; ++i) flat[i] = Vector{};
    Scalar total[padded];
    LENETTE_UNROLL
    for (int i = 0; i < padded; i += kLanes) {
        const Vector sums = sum_each(flat + i);
        std::memcpy(total + i, &sums, sizeof sums);
    }
    for (int co = 0; co < CO; ++co)
        for (int i = 0; i < ROWS * KW; ++i) gradient[co * co_stride + i] += total[co * ROWS * KW + i];
}

// CO output channels by CI input channels: sums[co][ci] += sum over values and lanes of dy[co][value] * x[ci][value].
template <int CO, int CI>
__attribute__((noinline)) void product_tile(const Vector* __restrict dy, const Vector* __restrict x, int values,
                                            Scalar* __restrict sums) {
    constexpr int count = CO * CI, padded = (count + kLanes - 1) / kLanes * kLanes;
    Vector sum[padded];
    LENETTE_UNROLL
    for (int i = 0; i < padded; ++i) sum[i] = Vector{};
    for (int i = 0; i < values; ++i) {
        Vector d[CO];
        LENETTE_UNROLL
        for (int co = 0; co < CO; ++co) d[co] = dy[co * values + i];
        LENETTE_UNROLL
        for (int ci = 0; ci < CI; ++ci) {
            const Vector v = x[ci * values + i];
            LENETTE_UNROLL
            for (int co = 0; co < CO; ++co) sum[co * CI + ci] += d[co] * v;
        }
    }
    LENETTE_UNROLL
    for (int i = 0; i < padded; i += kLanes) {
        const Vector total = load(sums + i) + sum_each(sum + i);
        std::memcpy(sums + i, &total, sizeof total);
    }
}

// CO outputs by 2 vectors of inputs: gradient[co][input] = sum over images of dy[co] * x[input]; only the first `inputs`
// are stored. x: [image][2]; dy: a number for each image, [block of images][stride] in memory.
template <int CO>
__attribute__((noinline)) void outer_product_tile(const Vector* __restrict x, const Scalar* __restrict dy,
                                                  long block_stride, int images, Scalar* __restrict gradient,
                                                  long co_stride, int inputs) {
    Vector sum[CO][2];
    LENETTE_UNROLL
    for (int co = 0; co < CO; ++co) sum[co][0] = sum[co][1] = Vector{};
    for (int image = 0; image < images; ++image, x += 2) {
        const Scalar* d = dy + image / kLanes * block_stride + image % kLanes;
        const Vector first = x[0], second = x[1];
        LENETTE_UNROLL
        for (int co = 0; co < CO; ++co) {
            sum[co][0] += d[co * kLanes] * first;
            sum[co][1] += d[co * kLanes] * second;
        }
    }
    LENETTE_UNROLL
    for (int co = 0; co < CO; ++co) std::memcpy(gradient + co * co_stride, sum[co], inputs * sizeof(Scalar));
}

constexpr int at_most(int a, int b) { return a < b ? a : b; }
constexpr int at_least_one(int a) { return a > 1 ? a : 1; }

}  // namespace lenette
