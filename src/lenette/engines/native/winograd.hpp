// Convolution by 3x3 kernels of stride 1 with 16 multiplications for four outputs in the place of 36: Winograd's F(2x2, 3x3)
// (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308). Its backward pass is the
// adjoint of the forward pass, of the same transforms.
#pragma once

#include "stage.hpp"
#include "tiles.hpp"

namespace lenette {

// A tile is 4x4 values of the input for 2x2 of the output. Along one side, where d are 4 values, g the kernel's 3 and y 2:
//   y = At((G g) * (Bt d)), Bt = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1], At = [1 1 1 0; 0 1 -1 -1],
//   G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1];
// and along the other side the same. All 16 numbers of a tile are independent of each other between the transforms: they
// are taken four at a time, one row R of the first transform and its columns, so that they stay in the second cache.
template <int CI, int H, int W, int CO, int PH, int PW, bool BIAS>
class WinogradConvolution : public Operation {
    static constexpr int OH = H + 2 * PH - 2, OW = W + 2 * PW - 2;
    static constexpr int kTileRows = (OH + 1) / 2, kTileColumns = (OW + 1) / 2;
    static constexpr int XH = 2 * kTileRows + 2, XW = 2 * kTileColumns + 2;  // the padded input, of whole tiles
    static constexpr int DW = 2 * kTileColumns, kXRow = CI * XW, kDRow = CO * DW;
    // Rows of tiles that are taken together: enough tiles to make up for a pass over the weights.
    static constexpr int kRows = at_most(kTileRows, at_least_one((24 + kTileColumns / 2) / kTileColumns));
    static constexpr int kMostTiles = kRows * kTileColumns;
    static constexpr int kForwardChannels = tile_channels(CO), kBackwardChannels = tile_channels(CI);
    // Four output channels by as many inputs as fill a vector with sums; and the room for all of a number's sums.
    static constexpr int kInputTile = at_most(CI, kLanes > 8 ? kLanes / 4 : 2);
    static constexpr int whole_vectors(int size) { return (size + kLanes - 1) / kLanes * kLanes; }
    static constexpr int kSums = (CI + kInputTile - 1) / kInputTile * ((CO + 3) / 4) * whole_vectors(4 * kInputTile);

public:
    WinogradConvolution(Place weight, Place bias) : weight(weight), bias(bias) {}

    void allocate(int, ScratchSize& size) override {
        size.input = std::max(size.input, size_t(XH) * kXRow);
        size.gradient = std::max(size.gradient, size_t(XH) * kXRow + size_t(2 * kRows) * kDRow);
        size.row = std::max(size.row, size_t(XW));
        size.transformed = std::max(size.transformed, size_t(4) * (CI + CO) * kMostTiles);
        size.sums = std::max(size.sums, size_t(16) * kSums);
        forward_weights.resize(size_t(16) * CO * CI);
        backward_weights.resize(size_t(16) * CO * CI);
    }

    void pack(int part, int parts) override {
        const Scalar* w = memory->parameters + weight.value;
        for_tiles<CO, kForwardChannels>([&](auto tile, int start) {
            if (start / kForwardChannels % parts != part) return;
            put_weights(
                CI * tile, [&](int i) { return w + ((start + i % tile) * CI + i / tile) * 9; }, &forward_weights[start * CI]);
        });
        for_tiles<CI, kBackwardChannels>([&](auto tile, int start) {
            if (start / kBackwardChannels % parts != part) return;
            put_weights(
                CO * tile, [&](int i) { return w + (i / tile * CI + start + i % tile) * 9; }, &backward_weights[start * CO]);
        });
    }

    void forward(Scratch& scratch) override {
        int rows_read = 0, observed = 0;
        Vector *v = scratch.transformed.get(), *m = v + 4 * CI * kMostTiles;
        for_tiles<kTileRows, kRows>([&](auto rows, int row) {
            read_padded<CI, H, W, PH, PW, XW>(scratch, rows_read, 2 * (row + rows) + 2);
            const Vector* x = scratch.input.get() + 2 * row * kXRow;
            Vector* y = tail->output(scratch.block) + 2 * row * CO * OW;
            each_number([&](auto r) {
                transform_input<r, rows>(x, v);
                for (int s = 0; s < 4; ++s)
                    multiply<CI, CO, kForwardChannels, rows * kTileColumns>(
                        v + s * CI * rows * kTileColumns, &forward_weights[(r * 4 + s) * CO * CI], m + s * CO * rows * kTileColumns);
                add_output<r, rows>(m, y, OH - 2 * row);
            });
            for (; observed < at_most(OH, 2 * (row + rows)); ++observed) tail->observe_row(scratch.block, observed);
        });
    }

    void backward(Scratch& scratch) override {
        Scalar* gradients = memory->gradients + scratch.chunk * memory->num_gradients;
        if (scratch.first_of_chunk) {
            std::fill_n(gradients + weight.gradient, size_t(CO) * CI * 9, Scalar(0));
            if (BIAS) std::fill_n(gradients + bias.gradient, CO, Scalar(0));
        }
        Scalar* sums = scratch.sums.data();
        std::fill_n(sums, 16 * kSums, Scalar(0));
        Vector *dx = scratch.gradient.get(), *dy = dx + XH * kXRow;
        Vector *v = scratch.transformed.get(), *e = v + 4 * CI * kMostTiles;
        std::fill_n(dx, XH * kXRow, Vector{});
        int rows_read = 0, rows_written = 0;
        for_tiles<kTileRows, kRows>([&](auto rows, int row) {
            constexpr int tiles = rows * kTileColumns;
            read_output_gradient<rows>(scratch.block, row, dy);
            if (BIAS) add_bias_gradient<rows>(dy, gradients + bias.gradient);
            read_padded<CI, H, W, PH, PW, XW>(scratch, rows_read, 2 * (row + rows) + 2);
            each_number([&](auto r) {
                transform_input<r, rows>(scratch.input.get() + 2 * row * kXRow, v);
                transform_output_gradient<r, rows>(dy, e);
                for (int s = 0; s < 4; ++s)
                    add_weight_gradient<tiles>(v + s * CI * tiles, e + s * CO * tiles, sums + (r * 4 + s) * kSums);
                for (int s = 0; s < 4; ++s)
                    multiply<CO, CI, kBackwardChannels, tiles>(e + s * CO * tiles, &backward_weights[(r * 4 + s) * CO * CI],
                                                               v + s * CI * tiles);
                add_input_gradient<r, rows>(v, dx + 2 * row * kXRow);
            });
            const int ready = row + rows == kTileRows ? H : at_most(H, 2 * (row + rows) - PH);
            for (; rows_written < ready; ++rows_written)
                sources[0]->write_gradient_row(scratch.block, rows_written, dx + (rows_written + PH) * kXRow + PW, XW);
        });
        turn_back(sums, gradients + weight.gradient);
    }

private:
    // The numbers of the first transform's rows, at compile time.
    template <class F>
    static void each_number(F f) {
        f(std::integral_constant<int, 0>());
        f(std::integral_constant<int, 1>());
        f(std::integral_constant<int, 2>());
        f(std::integral_constant<int, 3>());
    }

    // v[s][ci][tile] of row R of the transform.
    template <int R, int ROWS>
    static void transform_input(const Vector* __restrict x, Vector* __restrict v) {
        constexpr int tiles = ROWS * kTileColumns;
        constexpr int one = R == 0 ? 0 : R == 2 ? 2 : 1, other = R == 3 ? 3 : R == 2 ? 1 : 2;
        for (int i = 0; i < ROWS; ++i, x += 2 * kXRow)
            for (int ci = 0; ci < CI; ++ci) {
                const Vector *a = x + one * kXRow + ci * XW, *b = x + other * kXRow + ci * XW;
                const auto row = [&](int column) { return R == 1 ? a[column] + b[column] : a[column] - b[column]; };
                Vector* to = v + ci * tiles + i * kTileColumns;
                Vector d0 = row(0), d1 = row(1);
                for (int j = 0; j < kTileColumns; ++j, ++to) {
                    const Vector d2 = row(2 * j + 2), d3 = row(2 * j + 3);
                    to[0] = d0 - d2;
                    to[CI * tiles] = d1 + d2;
                    to[2 * CI * tiles] = d2 - d1;
                    to[3 * CI * tiles] = d1 - d3;
                    d0 = d2, d1 = d3;
                }
            }
    }

    // Add what row R gives to the output; `height` rows of it are left.
    template <int R, int ROWS>
    void add_output(const Vector* __restrict m, Vector* __restrict y, int height) const {
        constexpr int tiles = ROWS * kTileColumns;
        for (int i = 0; i < ROWS; ++i, y += 2 * CO * OW, height -= 2)
            for (int co = 0; co < CO; ++co) {
                const Vector* from = m + co * tiles + i * kTileColumns;
                const Vector start = Vector{} + (BIAS ? memory->parameters[bias.value + co] : Scalar(0));
                Vector *top = y + co * OW, *bottom = top + CO * OW;
                const auto put = [&](int column, Vector a) {
                    if (R < 3) top[column] = (R == 0 ? start : top[column]) + a;
                    if (R > 0 && height > 1) bottom[column] = R == 1 ? start + a : bottom[column] - a;
                };
                for (int j = 0; j < kTileColumns; ++j, ++from) {
                    const Vector m1 = from[CO * tiles], m2 = from[2 * CO * tiles];
                    put(2 * j, from[0] + m1 + m2);
                    if (OW % 2 == 0 || j < kTileColumns - 1) put(2 * j + 1, m1 - m2 - from[3 * CO * tiles]);
                }
            }
    }

    // The output's gradient of some rows of tiles, zero beyond the output.
    template <int ROWS>
    void read_output_gradient(int block, int row, Vector* dy) {
        for (int i = 0; i < 2 * ROWS; ++i, dy += kDRow) {
            if (2 * row + i >= OH) {
                std::fill_n(dy, kDRow, Vector{});
                continue;
            }
            tail->read_output_gradient_row(block, 2 * row + i, dy, 1, DW);
            if (DW > OW)
                for (int co = 0; co < CO; ++co) dy[co * DW + OW] = Vector{};
        }
    }

    template <int ROWS>
    static void add_bias_gradient(const Vector* dy, Scalar* gradient) {
        for (int co = 0; co < CO; ++co) {
            Vector sum{};
            for (int i = 0; i < 2 * ROWS; ++i)
                for (int w = 0; w < OW; ++w) sum += dy[i * kDRow + co * DW + w];
            gradient[co] += Scalar(sum_lanes(sum, ~Mask{}));
        }
    }

    // e[s][co][tile], by the adjoint of At.
    template <int R, int ROWS>
    static void transform_output_gradient(const Vector* __restrict dy, Vector* __restrict e) {
        constexpr int tiles = ROWS * kTileColumns;
        for (int i = 0; i < ROWS; ++i, dy += 2 * kDRow)
            for (int co = 0; co < CO; ++co) {
                const Vector *top = dy + co * DW, *bottom = top + kDRow;
                const auto row = [&](int column) {
                    const Vector a = top[column], b = bottom[column];
                    return R == 0 ? a : R == 1 ? a + b : R == 2 ? a - b : -b;
                };
                Vector* to = e + co * tiles + i * kTileColumns;
                for (int j = 0; j < kTileColumns; ++j, ++to) {
                    const Vector a = row(2 * j), b = row(2 * j + 1);
                    to[0] = a;
                    to[CO * tiles] = a + b;
                    to[2 * CO * tiles] = a - b;
                    to[3 * CO * tiles] = -b;
                }
            }
    }

    // Add to the padded input's gradient, by the adjoint of Bt; neighbouring tiles share two columns and two rows.
    template <int R, int ROWS>
    static void add_input_gradient(const Vector* __restrict v, Vector* __restrict dx) {
        constexpr int tiles = ROWS * kTileColumns;
        constexpr int one = R == 0 ? 0 : 1, other = R == 3 ? 3 : 2;
        for (int i = 0; i < ROWS; ++i, dx += 2 * kXRow)
            for (int ci = 0; ci < CI; ++ci) {
                const Vector* from = v + ci * tiles + i * kTileColumns;
                Vector *a = dx + one * kXRow + ci * XW, *b = dx + other * kXRow + ci * XW;
                const auto add = [&](int column, Vector g) {
                    a[column] = R == 2 ? a[column] - g : a[column] + g;
                    b[column] = R == 0 || R == 3 ? b[column] - g : b[column] + g;
                };
                Vector left{}, right{};
                for (int j = 0; j < kTileColumns; ++j, ++from) {
                    const Vector v1 = from[CI * tiles], v2 = from[2 * CI * tiles];
                    add(2 * j, left + from[0]);
                    add(2 * j + 1, right + (v1 - v2 + from[3 * CI * tiles]));
                    left = v1 + v2 - from[0], right = -from[3 * CI * tiles];
                }
                add(2 * kTileColumns, left);
                add(2 * kTileColumns + 1, right);
            }
    }

    // to[channel][tile] = sum over IN of w * from: a 1x1 convolution.
    template <int IN, int OUT, int CHANNELS, int TILES>
    static void multiply(const Vector* from, const Scalar* w, Vector* to) {
        for_tiles<TILES, kAccumulators / CHANNELS>([&](auto pixels, int tile) {
            for_tiles<OUT, CHANNELS>([&](auto channels, int start) {
                output_tile<1, 1, 1, 1, channels, pixels>(from + tile, TILES, 0, IN, w + start * IN, nullptr,
                                                          to + start * TILES + tile, TILES);
            });
        });
    }

    // Call f(inputs, ci, outputs, co, place) for each tile of sums and its place among those of a number.
    template <class F>
    static void for_sums(F f) {
        int place = 0;
        for_tiles<CI, kInputTile>([&](auto inputs, int ci) {
            for_tiles<CO, 4>([&](auto outputs, int co) {
                f(inputs, ci, outputs, co, place);
                place += whole_vectors(inputs * outputs);
            });
        });
    }

    // Add up over tiles and lanes, for all pairs of an input and an output channel.
    template <int TILES>
    static void add_weight_gradient(const Vector* v, const Vector* e, Scalar* sums) {
        for_sums([&](auto inputs, int ci, auto outputs, int co, int place) {
            product_tile<outputs, inputs>(e + co * TILES, v + ci * TILES, TILES, sums + place);
        });
    }

    // Write the 16 numbers G g Gt of `count` kernels; those of one number lie together, CO * CI from the next number's.
    template <class F>
    static void put_weights(int count, F kernel, Scalar* to) {
        const Scalar half = Scalar(0.5);
        for (int begin = 0; begin < count; begin += kLanes) {
            const int size = at_most(kLanes, count - begin);
            Vector g[3][3] = {}, rows[4][3];
            for (int lane = 0; lane < size; ++lane)
                for (int k = 0; k < 9; ++k) g[k / 3][k % 3][lane] = kernel(begin + lane)[k];
            for (int k = 0; k < 3; ++k) {
                const Vector ends = g[0][k] + g[2][k];
                rows[0][k] = g[0][k], rows[1][k] = half * (ends + g[1][k]);
                rows[2][k] = half * (ends - g[1][k]), rows[3][k] = g[2][k];
            }
            for (int r = 0; r < 4; ++r) {
                const Vector ends = rows[r][0] + rows[r][2];
                const Vector all[4] = {rows[r][0], half * (ends + rows[r][1]), half * (ends - rows[r][1]), rows[r][2]};
                for (int s = 0; s < 4; ++s)
                    std::memcpy(to + (r * 4 + s) * CO * CI + begin, &all[s], size * sizeof(Scalar));
            }
        }
    }

    // Add Gt sums G to the kernels' gradients.
    static void turn_back(const Scalar* sums, Scalar* gradient) {
        const Scalar half = Scalar(0.5);
        for_sums([&](auto inputs, int ci, auto outputs, int co, int place) {
            for (int begin = 0; begin < inputs * outputs; begin += kLanes) {
                Vector rows[3][4], all[9];
                for (int s = 0; s < 4; ++s) {
                    const auto at = [&](int r) { return load(sums + (r * 4 + s) * kSums + place + begin); };
                    const Vector both = half * (at(1) + at(2));
                    rows[0][s] = at(0) + both, rows[1][s] = half * (at(1) - at(2)), rows[2][s] = at(3) + both;
                }
                for (int r = 0; r < 3; ++r) {
                    const Vector both = half * (rows[r][1] + rows[r][2]);
                    all[r * 3] = rows[r][0] + both;
                    all[r * 3 + 1] = half * (rows[r][1] - rows[r][2]);
                    all[r * 3 + 2] = both + rows[r][3];
                }
                for (int lane = 0; lane < at_most(kLanes, inputs * outputs - begin); ++lane) {
                    const int i = begin + lane;
                    Scalar* to = gradient + ((co + i / inputs) * CI + ci + i % inputs) * 9;
                    for (int k = 0; k < 9; ++k) to[k] += all[k][lane];
                }
            }
        });
    }

    const Place weight, bias;
    std::vector<Scalar> forward_weights, backward_weights;  // [number][tile of channels][channel][channel of the tile]
};

}  // namespace lenette
