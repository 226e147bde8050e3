// A network as stages, and the training step as phases: between two barriers a thread takes its blocks one by one
// through as many stages as it can. Only batch-norm's sums, the update and the packing need all threads to meet.
#pragma once

#include <algorithm>
#include <cstdlib>

#include "convolution.hpp"
#include "images.hpp"
#include "join.hpp"
#include "layers.hpp"
#include "linear.hpp"
#include "loss.hpp"
#include "optimizer.hpp"
#include "tail.hpp"
#include "threads.hpp"
#include "winograd.hpp"

namespace lenette {

struct Stage {
    std::unique_ptr<Operation> operation;
    std::unique_ptr<Tail> tail;
    std::vector<int> inputs;  // the numbers of the stages that it reads; -1: the images
};

struct Steps {  // what one call trains: steps of one epoch, [num_steps] or [num_steps][dropout layer] of each
    int64_t first_step, num_steps;
    int64_t start, num_images;  // the first step's row in the epoch, and the epoch's number of images
    const float *rates, *average_decays;
    const uint64_t (*mask_keys)[2];
    double* losses;
    int64_t* correct;
};

class Network {
    // The sums of a chunk are its own, so that no result depends on who works on it.
    static constexpr int kChunks = 16;

public:
    // Written for each network by generate.py.
    void build();

    // num_images: of an epoch; there is no room for more than that in a batch.
    void allocate(int batch_images, int64_t num_images, int num_threads, const Settings& how, const Weights& what) {
        batch_size = batch_images, threads = num_threads, settings = how, weights = what;
        // The chunks are those of a whole batch, however few images there are: bits hang on them.
        blocks_per_chunk = (num_blocks(batch_size) + kChunks - 1) / kChunks;
        blocks = num_blocks(std::min<int64_t>(batch_size, num_images));
        build();
        ScratchSize size;
        size.logits = num_classes();
        images->allocate(blocks, size);
        for (size_t s = 0; s < stages.size(); ++s) {
            Operation& operation = *stages[s].operation;
            Tail& tail = *stages[s].tail;
            operation.tail = &tail;
            operation.batch = tail.batch = &batch;
            operation.memory = tail.memory = &memory;
            operation.allocate(blocks, size);
            tail.allocate(blocks, size);
        }
        connect();
        scratch.reserve(threads);
        for (int part = 0; part < threads; ++part) scratch.emplace_back(size);
        const size_t chunks = (blocks + blocks_per_chunk - 1) / blocks_per_chunk;
        gradients.reset(static_cast<Scalar*>(std::calloc(chunks * num_gradients, sizeof(Scalar))));
        if (!gradients) throw std::bad_alloc();
        losses.resize(blocks);
        plan_phases();
    }

    void train(const Epoch& epoch, const Steps& steps) {
        memory = {weights.parameters, weights.buffers, gradients.get(), num_gradients};
        start_batch(steps, 0);
        for (Stage& stage : stages) stage.operation->pack(0, 1);
        Barrier barrier(threads);
        in_parallel(threads, [&](int part) {
            for (int64_t step = 0; step < steps.num_steps; ++step) {
                for (size_t i = 0; i < phases.size(); ++i) {
                    run_phase(phases[i], i % 2, part, epoch, steps, step);
                    barrier.wait([&] {
                        if (phases[i].normalised_forward) phases[i].normalised_forward->finish_forward();
                        if (phases[i].normalised_backward) phases[i].normalised_backward->finish_backward();
                    });
                }
                for (Stage& stage : stages) stage.operation->weight_gradient(scratch[part], part, threads);
                barrier.wait();
                update_part(part, steps, step);
                barrier.wait();
                for (Stage& stage : stages) stage.operation->pack(part, threads);
                barrier.wait([&] {
                    finish_batch(steps, step);
                    if (step + 1 < steps.num_steps) start_batch(steps, step + 1);
                });
            }
        });
    }

    int num_classes() const { return stages.back().tail->shape.size(); }

    // Write logits [num_images][classes], in evaluation mode.
    void evaluate(const uint8_t* pixels, int64_t num_images, Scalar* logits) {
        const bool averaged = weights.average_parameters != nullptr;
        memory = {averaged ? weights.average_parameters : weights.parameters,
                  averaged ? weights.average_buffers : weights.buffers, nullptr, num_gradients};
        batch.training = false;
        for (Stage& stage : stages) {
            stage.operation->pack(0, 1);
            if (stage.tail->normalises()) stage.tail->finish_forward();
        }
        Epoch epoch;
        epoch.images = pixels;
        Barrier barrier(threads);
        in_parallel(threads, [&](int part) {
            for (int64_t start = 0; start < num_images; start += blocks * kLanes) {
                barrier.wait([&] { set_batch(std::min<int64_t>(blocks * kLanes, num_images - start)); });
                for_own_blocks(part, false, [&](Scratch& own) {
                    images->prepare(batch, epoch, start, own);
                    for (Stage& stage : stages) stage.operation->forward(own);
                    write_logits(own, logits + start * num_classes());
                });
                barrier.wait();
            }
        });
    }

private:
    struct Phase {
        bool prepares = false, has_loss = false;
        std::vector<Stage*> forward, backward;
        Tail *normalised_forward = nullptr, *normalised_backward = nullptr;  // what its end completes
    };

    // Give each operation what it reads: a tail that several of them read hands out ports, in the order of the backward
    // pass.
    void connect() {
        std::vector<int> readers(stages.size()), seen(stages.size());
        std::vector<std::shared_ptr<Buffer>> sums(stages.size());
        for (const Stage& stage : stages)
            for (int input : stage.inputs)
                if (input >= 0) ++readers[input];
        for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
            Operation& operation = *stage->operation;
            operation.first = true;
            for (int input : stage->inputs) {
                if (input < 0) {
                    operation.sources.push_back(images.get());
                    continue;
                }
                operation.first = false;
                Tail& tail = *stages[input].tail;
                if (readers[input] == 1) {
                    operation.sources.push_back(&tail);
                    continue;
                }
                if (!sums[input]) sums[input] = std::make_shared<Buffer>(make_buffer(size_t(blocks) * tail.shape.size()));
                const int number = seen[input]++;
                ports.push_back(
                    std::make_unique<Port>(tail, sums[input], number == 0, number == readers[input] - 1));
                operation.sources.push_back(ports.back().get());
            }
        }
    }

    void plan_phases() {
        Phase phase;
        phase.prepares = true;
        for (Stage& stage : stages) {
            phase.forward.push_back(&stage);
            if (!stage.tail->normalises()) continue;
            phase.normalised_forward = stage.tail.get();
            phases.push_back(std::exchange(phase, {}));
        }
        phase.has_loss = true;
        for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
            if (stage->tail->normalises()) {
                phase.normalised_backward = stage->tail.get();
                phases.push_back(std::exchange(phase, {}));
            }
            phase.backward.push_back(&*stage);
        }
        phases.push_back(std::move(phase));
    }

    void run_phase(const Phase& phase, bool reversed, int part, const Epoch& epoch, const Steps& steps, int64_t step) {
        for_own_blocks(part, reversed, [&](Scratch& own) {
            if (phase.prepares) {
                images->prepare(batch, epoch, row_of(steps, step), own);
                for (Stage& stage : stages) {
                    stage.operation->draw_masks(own, steps.mask_keys + step * num_dropouts);
                    stage.tail->draw_masks(own, steps.mask_keys + step * num_dropouts);
                }
            }
            for (Stage* stage : phase.forward) stage->operation->forward(own);
            if (phase.has_loss) take_loss(own, epoch, row_of(steps, step));
            for (Stage* stage : phase.backward) stage->operation->backward(own);
        });
    }

    // Each phase goes through the blocks in the other direction, since the last ones are still in the cache.
    template <class F>
    void for_own_blocks(int part, bool reversed, F f) {
        const int chunks = num_chunks(), begin = chunks * part / threads, end = chunks * (part + 1) / threads;
        Scratch& own = scratch[part];
        for (int i = begin; i < end; ++i) {
            own.chunk = reversed ? begin + end - 1 - i : i;
            const int first = own.chunk * blocks_per_chunk, last = std::min(first + blocks_per_chunk, batch.blocks) - 1;
            for (int block = first; block <= last; ++block) {
                own.block = reversed ? first + last - block : block;
                own.first_of_chunk = block == first;
                f(own);
            }
        }
    }

    int num_chunks() const { return (batch.blocks + blocks_per_chunk - 1) / blocks_per_chunk; }
    int64_t row_of(const Steps& steps, int64_t step) const { return steps.start + step * batch_size; }

    static int num_blocks(int64_t num_images) { return int((num_images + kLanes - 1) / kLanes); }

    void set_batch(int64_t num_images) {
        batch.images = int(num_images);
        batch.blocks = num_blocks(num_images);
    }

    void start_batch(const Steps& steps, int64_t step) {
        batch.training = true;
        batch.step = steps.first_step + step;
        set_batch(std::min<int64_t>(batch_size, steps.num_images - row_of(steps, step)));
    }

    void finish_batch(const Steps& steps, int64_t step) {
        BlockLoss sum;
        for (int block = 0; block < batch.blocks; ++block)
            sum.loss += losses[block].loss, sum.correct += losses[block].correct;
        steps.losses[step] = sum.loss / batch.images;
        steps.correct[step] = sum.correct;
    }

    Vector* read_logits(Scratch& own) {
        Vector* logits = own.logits.get();
        Tail& last = *stages.back().tail;
        for (int row = 0; row < last.shape.height; ++row)
            last.read_row(own.block, row, logits + row * last.shape.width, last.shape.height * last.shape.width);
        return logits;
    }

    void take_loss(Scratch& own, const Epoch& epoch, int64_t row) {
        Vector* logits = read_logits(own);
        Mask labels{};
        const Mask valid = batch.valid(own.block);
        for (int lane = 0; lane < kLanes; ++lane)
            if (valid[lane]) labels[lane] = Integer(epoch.labels[epoch.order[row + own.block * kLanes + lane]]);
        losses[own.block] = cross_entropy(logits, num_classes(), labels, valid, settings.label_smoothing, batch.images);
        Tail& last = *stages.back().tail;
        for (int i = 0; i < last.shape.height; ++i)
            last.write_gradient_row(own.block, i, logits + i * last.shape.width, last.shape.height * last.shape.width);
    }

    void write_logits(Scratch& own, Scalar* to) {
        const Vector* logits = read_logits(own);
        for (int lane = 0; lane < kLanes && own.block * kLanes + lane < batch.images; ++lane)
            for (int c = 0; c < num_classes(); ++c) to[(own.block * kLanes + lane) * num_classes() + c] = logits[c][lane];
    }

    void update_part(int part, const Steps& steps, int64_t step) {
        const double decay = steps.average_decays ? double(steps.average_decays[step]) : 0;
        for (const Parameter& p : parameters)
            update(settings, weights, {gradients.get(), num_gradients, num_chunks()}, p, p.size * part / threads,
                   p.size * (part + 1) / threads, double(steps.rates[step]), decay, steps.first_step + step);
        if (part > 0 || !weights.average_buffers) return;
        for (int64_t i = 0; i < weights.num_buffers; ++i)
            weights.average_buffers[i] += Scalar(1 - decay) * (weights.buffers[i] - weights.average_buffers[i]);
    }

    struct Free {
        void operator()(Scalar* p) const { std::free(p); }
    };

    // Set by build().
    std::unique_ptr<ImageSource> images;
    std::vector<Stage> stages;
    std::vector<Parameter> parameters;
    int num_dropouts = 0;
    long num_gradients = 0;

    int batch_size = 0, threads = 1, blocks = 0, blocks_per_chunk = 1;
    Settings settings{};
    Weights weights{};
    Batch batch;
    Memory memory;
    std::vector<std::unique_ptr<Port>> ports;
    std::vector<Phase> phases;
    std::vector<Scratch> scratch;
    std::unique_ptr<Scalar[], Free> gradients;  // [chunk][gradient]; pages that nobody writes take no memory
    std::vector<BlockLoss> losses;
};

}  // namespace lenette
