// Batch-norm, activation, dropout and pool, in one pass over an operation's output and one over its gradient.
// Only the operation's output is kept; the rest is computed anew in the backward pass, which costs less than reading it.
#pragma once

#include "activation.hpp"
#include "dropout.hpp"
#include "stage.hpp"

namespace lenette {

enum class Pooling { none, maximum, average };

template <Pooling KIND, int KH, int KW, int SH, int SW>
struct Pool {
    static constexpr Pooling kind = KIND;
    static constexpr int kh = KH, kw = KW, sh = SH, sw = SW;
};
using NoPool = Pool<Pooling::none, 1, 1, 1, 1>;

struct BatchNorm {
    Place weight, bias;
    long running_mean = -1, running_var = -1;
    double eps = 0, momentum = 0;
    int64_t seen = -1;  // batches before step 0, where statistics are the mean of all batches; else -1

    double momentum_at(int64_t step) const { return seen < 0 ? momentum : 1 / double(seen + step + 1); }
};

template <int C, int H, int W, bool NORM, class ACTIVATION, bool DROPOUT, class POOL, bool DROPOUT_AFTER>
class FusedTail : public Tail {
    static constexpr int kPlane = H * W;
    static constexpr int PH = (H - POOL::kh) / POOL::sh + 1, PW = (W - POOL::kw) / POOL::sw + 1;
    static constexpr int kWindow = POOL::kh * POOL::kw;
    // Windows that neither overlap nor leave gaps hand each gradient on at once.
    static constexpr bool kTiling = POOL::kh == POOL::sh && POOL::kw == POOL::sw;

public:
    FusedTail(BatchNorm norm, ACTIVATION activation, Dropout inner, Dropout outer)
        : Tail(Shape{C, PH, PW}), norm(norm), activation(activation), inner(std::move(inner)), outer(std::move(outer)) {
        block_size = size_t(C) * kPlane;
    }

    void allocate(int blocks, ScratchSize& scratch) override {
        y = make_buffer(blocks * block_size);
        dz = make_buffer(blocks * block_size);
        if (DROPOUT) inner.allocate(blocks, block_size, scratch);
        if (DROPOUT_AFTER) outer.allocate(blocks, shape.size(), scratch);
        if (NORM) sums = make_buffer(size_t(blocks) * C * 2), totals.resize(size_t(blocks) * C * 2);
    }

    bool normalises() const override { return NORM; }

    void draw_masks(Scratch& own, const uint64_t (*keys)[2]) override {
        if (DROPOUT) inner.draw(own.block, keys, own.drops);
        if (DROPOUT_AFTER) outer.draw(own.block, keys, own.drops);
    }

    // Forward.

    void observe_row(int block, int row) override {
        if (!NORM || !batch->training) return;
        // Sums about the running mean, which is near enough to the mean that their difference loses nothing.
        const Scalar* centre = memory->buffers + norm.running_mean;
        const Vector* from = output(block) + row * C * W;
        Vector* sum = sums.get() + size_t(block) * C * 2;
        for (int c = 0; c < C; ++c, from += W, sum += 2) {
            Vector first = row ? sum[0] : Vector{}, second = row ? sum[1] : Vector{};
            for (int w = 0; w < W; ++w) {
                const Vector v = from[w] - centre[c];
                first += v;
                second += v * v;
            }
            sum[0] = first, sum[1] = second;
        }
        if (row == H - 1) add_lanes(block);
    }

    void finish_forward() override {
        const double momentum = norm.momentum_at(batch->step);
        for (int c = 0; c < C; ++c) {
            Scalar *running_mean = memory->buffers + norm.running_mean + c, *running_var = memory->buffers + norm.running_var + c;
            double mean = *running_mean, variance = *running_var;
            if (batch->training) {
                const double count = double(batch->images) * kPlane;
                const double first = total(2 * c) / count;
                variance = std::max(0.0, total(2 * c + 1) / count - first * first);
                mean += first;
                const double unbiased = variance * count / std::max(1.0, count - 1);
                *running_mean = Scalar((1 - momentum) * double(*running_mean) + momentum * mean);
                *running_var = Scalar((1 - momentum) * double(*running_var) + momentum * unbiased);
            }
            const double inverse = 1 / std::sqrt(variance + norm.eps);
            const double gamma = norm.weight.value < 0 ? 1 : double(memory->parameters[norm.weight.value + c]);
            const double beta = norm.bias.value < 0 ? 0 : double(memory->parameters[norm.bias.value + c]);
            means[c] = Scalar(mean);
            inverses[c] = inverse;
            scale[c] = Scalar(gamma * inverse);
            shift[c] = Scalar(beta - mean * gamma * inverse);
        }
    }

    void read_row(int block, int row, Vector* to, long plane) override {
        batch->training ? read<true>(block, row, to, plane) : read<false>(block, row, to, plane);
    }

    // Backward.

    void write_gradient_row(int block, int row, const Vector* from, long plane) override {
        if constexpr (kTiling) {
            route(block, row, from, plane, [&](int c, int h, int w, Vector g, Sums& s) { write(block, c, h, w, g, s); });
            if (NORM && row == PH - 1) add_lanes(block);
        } else {
            Vector* sum_of_windows = dz.get() + block * block_size;
            if (row == 0) std::fill_n(sum_of_windows, block_size, Vector{});
            route(block, row, from, plane,
                  [&](int c, int h, int w, Vector g, Sums&) { sum_of_windows[index(c, h, w)] += g; });
            if (row < PH - 1) return;
            for (int c = 0; c < C; ++c) {
                Sums s{};
                for (int h = 0; h < H; ++h)
                    for (int w = 0; w < W; ++w) write(block, c, h, w, sum_of_windows[index(c, h, w)], s);
                keep_sums(block, c, s);
            }
            if (NORM) add_lanes(block);
        }
    }

    void finish_backward() override {
        const double count = double(batch->images) * kPlane;
        for (int c = 0; c < C; ++c) {
            const double sum = total(2 * c), sum_centred = total(2 * c + 1), inverse = inverses[c];
            if (norm.bias.value >= 0) memory->gradients[norm.bias.gradient + c] = Scalar(sum);
            if (norm.weight.value >= 0) memory->gradients[norm.weight.gradient + c] = Scalar(sum_centred * inverse);
            // dy = scale * (dz - mean(dz) - (y - mean) * inverse^2 * mean(dz * (y - mean)))
            const double slope = -double(scale[c]) * inverse * inverse * sum_centred / count;
            gradient_slope[c] = Scalar(slope);
            gradient_shift[c] = Scalar(-double(scale[c]) * sum / count - slope * double(means[c]));
        }
    }

    void read_output_gradient_row(int block, int row, Vector* to, long step, long plane) override {
        const Vector *d = dz.get() + block * block_size + row * C * W, *from = output(block) + row * C * W;
        const bool partial = batch->partial(block);
        const Mask valid = batch->valid(block);
        for (int c = 0; c < C; ++c, d += W, from += W, to += plane) {
            for (int w = 0; w < W; ++w)
                to[w * step] = NORM ? d[w] * scale[c] + (from[w] * gradient_slope[c] + gradient_shift[c]) : d[w];
            if (!partial) continue;
            for (int w = 0; w < W; ++w) to[w * step] = keep(valid, to[w * step]);
        }
    }

private:
    struct Sums {
        Vector first, second;
    };

    Vector normalise(int c, Vector v) const { return NORM ? v * scale[c] + shift[c] : v; }

    static constexpr size_t index(int c, int h, int w) { return (size_t(h) * C + c) * W + w; }

    template <bool TRAINING>
    Vector activated(int block, int c, int h, int w) const {
        const Vector a = activation(normalise(c, y[block * block_size + index(c, h, w)]));
        return TRAINING && DROPOUT ? inner.apply(block, (c * H + h) * W + w, a) : a;
    }

    template <bool TRAINING>
    void read(int block, int row, Vector* to, long plane) const {
        for (int c = 0; c < C; ++c, to += plane) {
            for (int w = 0; w < PW; ++w) {
                Vector v = activated<TRAINING>(block, c, row * POOL::sh, w * POOL::sw);
                for (int k = 1; k < kWindow; ++k) {
                    const Vector next = activated<TRAINING>(block, c, row * POOL::sh + k / POOL::kw, w * POOL::sw + k % POOL::kw);
                    v = POOL::kind == Pooling::average ? v + next : maximum(next, v);
                }
                if (POOL::kind == Pooling::average) v *= Scalar(1.0 / kWindow);
                to[w] = TRAINING && DROPOUT_AFTER ? outer.apply(block, (c * PH + row) * PW + w, v) : v;
            }
        }
    }

    // Hand the gradient of one pooled row to f(channel, row, column, gradient, sums) of each source.
    template <class F>
    void route(int block, int row, const Vector* from, long plane, F f) {
        for (int c = 0; c < C; ++c, from += plane) {
            Sums s{};
            if (NORM && kTiling && row) s = {sums[(size_t(block) * C + c) * 2], sums[(size_t(block) * C + c) * 2 + 1]};
            for (int column = 0; column < PW; ++column) {
                const int h = row * POOL::sh, w = column * POOL::sw;
                Vector g = from[column];
                if (DROPOUT_AFTER) g = outer.apply(block, (c * PH + row) * PW + column, g);
                if constexpr (POOL::kind == Pooling::maximum) {
                    route_to_maximum(block, c, h, w, g, s, f);
                } else {
                    if (POOL::kind == Pooling::average) g *= Scalar(1.0 / kWindow);
                    for (int k = 0; k < kWindow; ++k) f(c, h + k / POOL::kw, w + k % POOL::kw, g, s);
                }
            }
            if constexpr (kTiling) {
                clear_remainder(block, c, row);
                keep_sums(block, c, s);
            }
        }
    }

    // The first maximum of a window takes its gradient, as in PyTorch.
    template <class F>
    void route_to_maximum(int block, int c, int h, int w, Vector g, Sums& s, F f) {
        Vector values[kWindow], largest{};
        for (int k = 0; k < kWindow; ++k) {
            values[k] = activated<true>(block, c, h + k / POOL::kw, w + k % POOL::kw);
            largest = k ? maximum(values[k], largest) : values[k];
        }
        for (int k = 0; k < kWindow; ++k) {
            const Mask chosen = values[k] == largest;
            f(c, h + k / POOL::kw, w + k % POOL::kw, keep(chosen, g), s);
            g = select(chosen, Vector{}, g);
        }
    }

    // Pixels at the right and lower edge that no window reaches have no gradient.
    void clear_remainder(int block, int c, int row) {
        Vector* to = dz.get() + block * block_size;
        for (int h = row * POOL::kh; h < (row + 1) * POOL::kh; ++h)
            std::fill_n(to + index(c, h, PW * POOL::kw), W - PW * POOL::kw, Vector{});
        if (row == PH - 1)
            for (int h = PH * POOL::kh; h < H; ++h) std::fill_n(to + index(c, h, 0), W, Vector{});
    }

    // From the gradient of the activated output to the gradient of what the activation read, and batch-norm's sums.
    void write(int block, int c, int h, int w, Vector g, Sums& s) {
        const size_t i = block * block_size + index(c, h, w);
        const Vector v = y[i], z = normalise(c, v);
        if (DROPOUT) g = inner.apply(block, (c * H + h) * W + w, g);
        g = activation.gradient(z, g);
        dz[i] = g;
        if (NORM) {
            s.first += g;
            s.second += g * (v - means[c]);
        }
    }

    void keep_sums(int block, int c, const Sums& s) {
        if (!NORM) return;
        sums[(size_t(block) * C + c) * 2] = s.first;
        sums[(size_t(block) * C + c) * 2 + 1] = s.second;
    }

    void add_lanes(int block) {
        const Mask valid = batch->valid(block);
        for (size_t i = size_t(block) * C * 2; i < size_t(block + 1) * C * 2; ++i) totals[i] = sum_lanes(sums[i], valid);
    }

    double total(int i) const {  // over the blocks, always in the same order
        double sum = 0;
        for (int block = 0; block < batch->blocks; ++block) sum += totals[size_t(block) * C * 2 + i];
        return sum;
    }

    BatchNorm norm;
    ACTIVATION activation;
    Dropout inner, outer;
    Buffer sums;  // [block][channel][2]: of y and its square, then of dz and its product with y
    std::vector<double> totals;
    Scalar means[C], scale[C], shift[C], gradient_slope[C], gradient_shift[C];
    double inverses[C];
};

}  // namespace lenette
