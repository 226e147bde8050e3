// SGD, Adam and AdamW as PyTorch defines them, and the running mean of the weights.
#pragma once

#include <algorithm>
#include <vector>

#include "stage.hpp"

namespace lenette {

enum class Optimizer : int { sgd, adam, adamw };

struct Settings {
    Optimizer optimizer;
    int nesterov;
    double momentum, weight_decay, beta1, beta2, eps, label_smoothing;
};

// One use of a parameter: where the gradient of it lies, as a part from each chunk or a single one.
struct Use {
    long start;
    bool chunked;
};

// One parameter tensor that is trained.
struct Parameter {
    long start, size;
    std::vector<Use> uses;
};

struct Gradients {
    const Scalar* values;  // [chunk][gradient]
    long num_gradients;
    int chunks;

    // Add up those of elements [begin, begin + size) of a parameter, use by use and chunk by chunk.
    void sum(const Parameter& of, long begin, long size, Scalar* to) const {
        std::copy_n(values + of.uses[0].start + begin, size, to);
        for (size_t use = 0; use < of.uses.size(); ++use)
            for (int chunk = use == 0; chunk < (of.uses[use].chunked ? chunks : 1); ++chunk) {
                const Scalar* from = values + chunk * num_gradients + of.uses[use].start + begin;
                for (long i = 0; i < size; ++i) to[i] += from[i];
            }
    }
};

struct Weights {  // flat arrays, [num_parameters] or [num_buffers], which belong to Python
    Scalar *parameters, *buffers, *first, *second;  // first: momentum or mean gradient; second: mean squared gradient
    Scalar *average_parameters, *average_buffers;   // null: none
    int64_t num_parameters, num_buffers;
};

// Update elements [begin, end) of a parameter.
inline void update(const Settings& s, const Weights& w, const Gradients& gradients, const Parameter& of, long begin,
                   long end, double rate, double average_decay, int64_t step) {
    const Scalar decay = Scalar(s.weight_decay), momentum = Scalar(s.momentum), lr = Scalar(rate);
    const Scalar new1 = Scalar(1 - s.beta1), old2 = Scalar(s.beta2), new2 = Scalar(1 - s.beta2);
    const Scalar step_size = Scalar(rate / (1 - std::pow(s.beta1, double(step + 1))));
    const Scalar root = Scalar(std::sqrt(1 - std::pow(s.beta2, double(step + 1)))), eps = Scalar(s.eps);
    const Scalar shrink = s.optimizer == Optimizer::adamw ? Scalar(1 - rate * s.weight_decay) : Scalar(1);
    const bool decoupled = s.optimizer == Optimizer::adamw;
    Scalar* __restrict p = w.parameters;
    Scalar* __restrict first = w.first;
    Scalar* __restrict second = w.second;
    constexpr long kPiece = 256;
    for (; begin < end; begin += kPiece) {
        const long size = std::min(kPiece, end - begin);
        Scalar gradient[kPiece];
        gradients.sum(of, begin, size, gradient);
        for (long i = 0; i < size; ++i) {
            const long k = of.start + begin + i;
            const Scalar g = decoupled ? gradient[i] : gradient[i] + decay * p[k];
            if (s.optimizer == Optimizer::sgd) {
                first[k] = momentum * first[k] + g;
                p[k] -= lr * (s.nesterov ? g + momentum * first[k] : first[k]);
            } else {
                first[k] += new1 * (g - first[k]);
                second[k] = old2 * second[k] + new2 * (g * g);
                p[k] = shrink * p[k] - step_size * (first[k] / (std::sqrt(second[k]) / root + eps));
            }
        }
        if (!w.average_parameters) continue;
        for (long k = of.start + begin; k < of.start + begin + size; ++k)
            w.average_parameters[k] += Scalar(1 - average_decay) * (p[k] - w.average_parameters[k]);
    }
}

}  // namespace lenette
