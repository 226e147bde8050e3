// What the parts of a network share: the batch, what a thread owns, and how one stage hands rows to the next.
#pragma once

#include <vector>

#include "vector.hpp"

namespace lenette {

// Blocks of kLanes images, in chunks: a chunk is always worked on by one thread, and has its own sums.
struct Batch {
    int images = 0, blocks = 0;
    bool training = false;
    int64_t step = 0;
    bool partial(int block) const { return (block + 1) * kLanes > images; }
    Mask valid(int block) const { return lane_numbers() < Integer(images - block * kLanes); }
};

struct Memory {  // the flat arrays of the network, which belong to Python
    const Scalar* parameters = nullptr;
    Scalar* buffers = nullptr;    // running means and variances
    Scalar* gradients = nullptr;  // [chunk][gradient]
    long num_gradients = 0;
};

// Offsets in Memory of a parameter and of its gradient; a layer that is used again has another place for the gradient.
struct Place {
    long value = -1, gradient = -1;  // -1: there is no such parameter
};

struct ScratchSize {
    size_t input = 0, gradient = 0, row = 0, logits = 0, turned = 0, transformed = 0;  // in vectors
    size_t rendered = 0, framed = 0, drops = 0, sums = 0;                              // in elements
};

struct Scratch {  // one thread's: all the memory that it needs while it works
    explicit Scratch(const ScratchSize& size)
        : input(make_buffer(size.input)), gradient(make_buffer(size.gradient)), row(make_buffer(size.row)),
          logits(make_buffer(size.logits)), turned(make_buffer(size.turned)), transformed(make_buffer(size.transformed)),
          rendered(size.rendered), framed(size.framed), sums(size.sums), drops(size.drops) {}

    Buffer input, gradient, row, logits, turned, transformed;
    std::vector<Scalar> rendered, framed, sums;
    std::vector<uint16_t> drops;
    int block = 0, chunk = 0;
    bool first_of_chunk = false;
};

struct Shape {
    int channels, height, width;
    int size() const { return channels * height * width; }
};

// Where an operation's input comes from and its gradient goes to, row by row: the images, or the stage before.
// A row is [channel][column] with `plane` vectors from channel to channel.
class Source {
public:
    explicit Source(Shape shape) : shape(shape) {}
    virtual ~Source() = default;
    virtual void read_row(int block, int row, Vector* to, long plane) = 0;
    virtual void write_gradient_row(int block, int row, const Vector* from, long plane) = 0;
    const Shape shape;
};

// What follows an operation (batch-norm, activation, dropout, pool) and keeps its output and that one's gradient.
class Tail : public Source {
public:
    using Source::Source;
    virtual void allocate(int blocks, ScratchSize& size) = 0;
    virtual void observe_row(int block, int row) = 0;
    virtual void read_output_gradient_row(int block, int row, Vector* to, long step, long plane) = 0;
    virtual void draw_masks(Scratch& own, const uint64_t (*keys)[2]) = 0;
    virtual bool normalises() const = 0;
    virtual void finish_forward() = 0;
    virtual void finish_backward() = 0;
    Vector* output(int block) { return y.get() + size_t(block) * block_size; }

    const Batch* batch = nullptr;
    Memory* memory = nullptr;
    Buffer y, dz;  // the operation's output; the gradient of the batch-norm's output (of y, if there is none)
    size_t block_size = 0;
};

// What one of several readers of a tail reads: gradients are added up in the readers' order, and the last one hands the sum on.
class Port : public Source {
public:
    Port(Source& of, std::shared_ptr<Buffer> sum, bool first, bool last)
        : Source(of.shape), of(of), sum(std::move(sum)), first(first), last(last) {}

    void read_row(int block, int row, Vector* to, long plane) override { of.read_row(block, row, to, plane); }

    void write_gradient_row(int block, int row, const Vector* from, long plane) override {
        const int width = shape.width;
        Vector* to = sum->get() + size_t(block) * shape.size() + row * shape.channels * width;
        for (int c = 0; c < shape.channels; ++c, from += plane)
            for (int w = 0; w < width; ++w) to[c * width + w] = first ? from[w] : to[c * width + w] + from[w];
        if (last) of.write_gradient_row(block, row, to, width);
    }

private:
    Source& of;
    const std::shared_ptr<Buffer> sum;  // [block][row][channel][column]
    const bool first, last;
};

// What a stage computes of what it reads: a convolution, a linear layer, a sum.
class Operation {
public:
    virtual ~Operation() = default;
    virtual void allocate(int, ScratchSize&) {}
    virtual void draw_masks(Scratch&, const uint64_t (*keys)[2]) { (void)keys; }
    virtual void pack(int part, int parts) { (void)part, (void)parts; }
    virtual void forward(Scratch&) = 0;
    virtual void backward(Scratch&) = 0;
    // Linear layers take their weight gradient over the whole batch at once, each thread some of the weights.
    virtual void weight_gradient(Scratch&, int part, int parts) { (void)part, (void)parts; }

    const Batch* batch = nullptr;
    Memory* memory = nullptr;
    std::vector<Source*> sources;
    Tail* tail = nullptr;
    bool first = false;  // nothing before it wants a gradient

protected:
    // Have the rows of the padded input, XW wide, up to, not including, `end`; what lies beyond the map is zero.
    template <int CI, int H, int W, int PH, int PW, int XW>
    void read_padded(Scratch& scratch, int& row, int end) {
        constexpr int row_size = CI * XW;
        for (; row < end; ++row) {
            Vector* to = scratch.input.get() + row * row_size;
            if (row < PH || row >= PH + H) {
                std::fill_n(to, row_size, Vector{});
                continue;
            }
            sources[0]->read_row(scratch.block, row - PH, to + PW, XW);
            for (int ci = 0; ci < CI; ++ci, to += XW) {
                std::fill_n(to, PW, Vector{});
                std::fill_n(to + PW + W, XW - PW - W, Vector{});
            }
        }
    }
};

}  // namespace lenette
