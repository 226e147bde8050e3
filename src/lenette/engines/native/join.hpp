// Operations without weights that bring values together or lay them out anew.
#pragma once

#include <array>

#include "stage.hpp"

namespace lenette {

// Hands its input on, so that a tail may follow a tail: batch-norm after ReLU, say.
template <int C, int H, int W>
class Copy : public Operation {
public:
    void allocate(int, ScratchSize& size) override { size.row = std::max(size.row, size_t(C) * W); }

    void forward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            sources[0]->read_row(scratch.block, row, tail->output(scratch.block) + row * C * W, W);
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        for (int row = 0; row < H; ++row) {
            tail->read_output_gradient_row(scratch.block, row, scratch.row.get(), 1, W);
            sources[0]->write_gradient_row(scratch.block, row, scratch.row.get(), W);
        }
    }
};

// A sum or a product of two maps; with GATE the second one has a single value for each channel.
template <bool PRODUCT, bool GATE, int C, int H, int W>
class Combine : public Operation {
public:
    void allocate(int, ScratchSize& size) override {
        size.row = std::max(size.row, size_t(C) * W);
        size.input = std::max(size.input, size_t(C) * W * 2);
        size.gradient = std::max(size.gradient, size_t(C) * (W + 2));
    }

    void forward(Scratch& scratch) override {
        Vector* other = scratch.input.get();
        for (int row = 0; row < H; ++row) {
            Vector* y = tail->output(scratch.block) + row * C * W;
            sources[0]->read_row(scratch.block, row, y, W);
            read_other(scratch.block, row, other);
            for (int i = 0; i < C * W; ++i) y[i] = PRODUCT ? y[i] * other[of(i)] : y[i] + other[of(i)];
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        Vector *other = scratch.input.get(), *x = other + C * W, *sum = scratch.gradient.get(), *d = sum + C * 2;
        Vector* to = scratch.row.get();
        for (int row = 0; row < H; ++row) {
            tail->read_output_gradient_row(scratch.block, row, d, 1, W);
            if (PRODUCT) {
                read_other(scratch.block, row, other);
                sources[0]->read_row(scratch.block, row, x, W);
            }
            for (int i = 0; i < C * W; ++i) to[i] = PRODUCT ? d[i] * other[of(i)] : d[i];
            sources[0]->write_gradient_row(scratch.block, row, to, W);
            if (GATE) {
                if (row == 0) std::fill_n(sum, C, Vector{});
                for (int i = 0; i < C * W; ++i) sum[of(i)] += PRODUCT ? d[i] * x[i] : d[i];
            } else {
                for (int i = 0; i < C * W; ++i) to[i] = PRODUCT ? d[i] * x[i] : d[i];
                sources[1]->write_gradient_row(scratch.block, row, to, W);
            }
        }
        if (GATE) sources[1]->write_gradient_row(scratch.block, 0, sum, 1);
    }

private:
    static constexpr int of(int i) { return GATE ? i / W : i; }

    void read_other(int block, int row, Vector* to) const {
        if (!GATE || row == 0) sources[1]->read_row(block, GATE ? 0 : row, to, GATE ? 1 : W);
    }
};

// The channels of several maps, one after the other.
template <int C, int H, int W>
class Concatenate : public Operation {
public:
    void allocate(int, ScratchSize& size) override { size.row = std::max(size.row, size_t(C) * W); }

    void forward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            Vector* to = tail->output(scratch.block) + row * C * W;
            for (Source* source : sources) {
                source->read_row(scratch.block, row, to, W);
                to += source->shape.channels * W;
            }
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        for (int row = 0; row < H; ++row) {
            const Vector* from = scratch.row.get();
            tail->read_output_gradient_row(scratch.block, row, scratch.row.get(), 1, W);
            for (Source* source : sources) {
                source->write_gradient_row(scratch.block, row, from, W);
                from += source->shape.channels * W;
            }
        }
    }
};

// The same values in the same order, [channel][row][column], as a map of another shape.
template <int C, int H, int W>
class Reshape : public Operation {
public:
    void allocate(int, ScratchSize& size) override {
        size.input = std::max(size.input, size_t(C) * H * W);
        size.row = std::max(size.row, size_t(C) * W);
    }

    void forward(Scratch& scratch) override {
        Vector *values = scratch.input.get(), *y = tail->output(scratch.block);
        const Shape from = sources[0]->shape;
        for (int row = 0; row < from.height; ++row)
            sources[0]->read_row(scratch.block, row, values + row * from.width, from.height * from.width);
        for (int row = 0; row < H; ++row) {
            for (int c = 0; c < C; ++c) std::copy_n(values + (c * H + row) * W, W, y + (row * C + c) * W);
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        Vector* values = scratch.input.get();
        const Shape to = sources[0]->shape;
        for (int row = 0; row < H; ++row)
            tail->read_output_gradient_row(scratch.block, row, values + row * W, 1, H * W);
        for (int row = 0; row < to.height; ++row)
            sources[0]->write_gradient_row(scratch.block, row, values + row * to.width, to.height * to.width);
    }
};

// A map with zeros around it: TOP rows above, LEFT columns before; [OH][OW] in all.
template <int C, int H, int W, int TOP, int LEFT, int OH, int OW>
class Pad : public Operation {
public:
    void allocate(int, ScratchSize& size) override { size.row = std::max(size.row, size_t(C) * OW); }

    void forward(Scratch& scratch) override {
        Vector* y = tail->output(scratch.block);
        for (int row = 0; row < OH; ++row, y += C * OW) {
            std::fill_n(y, C * OW, Vector{});
            if (row >= TOP && row < TOP + H) sources[0]->read_row(scratch.block, row - TOP, y + LEFT, OW);
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        for (int row = 0; row < H; ++row) {
            tail->read_output_gradient_row(scratch.block, row + TOP, scratch.row.get(), 1, OW);
            sources[0]->write_gradient_row(scratch.block, row, scratch.row.get() + LEFT, OW);
        }
    }
};

// What a pooling window covers along one side of a map: `count` values from `start`, of which `divisor` is the mean's.
struct Window {
    int start, count, divisor;
};

// Pooling by any windows: padded, dilated, of unequal size. STEP is between the values of a window.
template <bool MAXIMUM, int C, int H, int W, int OH, int OW>
class WindowPool : public Operation {
public:
    WindowPool(int row_step, int column_step, std::array<Window, OH> rows, std::array<Window, OW> columns)
        : row_step(row_step), column_step(column_step), rows(rows), columns(columns) {}

    void allocate(int, ScratchSize& size) override {
        size.input = std::max(size.input, size_t(C) * H * W);
        size.gradient = std::max(size.gradient, size_t(C) * (H * W + OW));
    }

    void forward(Scratch& scratch) override {
        Vector *x = scratch.input.get(), *y = tail->output(scratch.block);
        read_input(scratch);
        for (int row = 0; row < OH; ++row) {
            for (int c = 0; c < C; ++c)
                for (int column = 0; column < OW; ++column, ++y) {
                    Vector sum{};
                    bool fresh = true;
                    for_window(row, column, [&](int h, int w) {
                        const Vector next = x[index(c, h, w)];
                        sum = fresh ? next : MAXIMUM ? maximum(next, sum) : sum + next;
                        fresh = false;
                    });
                    *y = MAXIMUM ? sum : sum * factor(row, column);
                }
            tail->observe_row(scratch.block, row);
        }
    }

    void backward(Scratch& scratch) override {
        if (first) return;
        Vector *x = scratch.input.get(), *dx = scratch.gradient.get(), *d = dx + C * H * W;
        if (MAXIMUM) read_input(scratch);
        std::fill_n(dx, C * H * W, Vector{});
        for (int row = 0; row < OH; ++row) {
            tail->read_output_gradient_row(scratch.block, row, d, 1, OW);
            for (int c = 0; c < C; ++c)
                for (int column = 0; column < OW; ++column)
                    MAXIMUM ? route(x, dx, c, row, column, d[c * OW + column])
                            : spread(dx, c, row, column, d[c * OW + column] * factor(row, column));
        }
        for (int row = 0; row < H; ++row) sources[0]->write_gradient_row(scratch.block, row, dx + row * C * W, W);
    }

private:
    static constexpr int index(int c, int h, int w) { return (h * C + c) * W + w; }

    void read_input(Scratch& scratch) const {
        for (int row = 0; row < H; ++row)
            sources[0]->read_row(scratch.block, row, scratch.input.get() + row * C * W, W);
    }

    template <class F>
    void for_window(int row, int column, F f) const {
        const Window r = rows[row], c = columns[column];
        for (int i = 0; i < r.count; ++i)
            for (int j = 0; j < c.count; ++j) f(r.start + i * row_step, c.start + j * column_step);
    }

    Scalar factor(int row, int column) const { return Scalar(1.0 / (rows[row].divisor * columns[column].divisor)); }

    void spread(Vector* dx, int c, int row, int column, Vector g) const {
        for_window(row, column, [&](int h, int w) { dx[index(c, h, w)] += g; });
    }

    // The first maximum of a window takes its gradient, as in PyTorch.
    void route(const Vector* x, Vector* dx, int c, int row, int column, Vector g) const {
        Vector largest = x[index(c, rows[row].start, columns[column].start)];
        for_window(row, column, [&](int h, int w) { largest = maximum(x[index(c, h, w)], largest); });
        for_window(row, column, [&](int h, int w) {
            const Mask chosen = x[index(c, h, w)] == largest;
            dx[index(c, h, w)] += keep(chosen, g);
            g = select(chosen, Vector{}, g);
        });
    }

    const int row_step, column_step;
    const std::array<Window, OH> rows;
    const std::array<Window, OW> columns;
};

}  // namespace lenette
