// The functions that Python calls.
#pragma once

#include <cstdio>

#include "network.hpp"

namespace lenette {

// Call f; return null, or in words what it threw, until the next call: no exception may pass through C.
template <class F>
const char* attempt(F f) noexcept {
    static thread_local char words[200];
    try {
        f();
        return nullptr;
    } catch (const std::bad_alloc&) {
        return "no memory";
    } catch (const std::exception& error) {
        std::snprintf(words, sizeof words, "%s", error.what());
        return words;
    }
}

}  // namespace lenette

extern "C" {
using namespace lenette;

const char* lenette_create(int batch_size, int64_t num_images, int threads, const Settings* settings,
                           const Weights* weights, Network** to) {
    return attempt([&] {
        auto network = std::make_unique<Network>();
        network->allocate(batch_size, num_images, threads, *settings, *weights);
        *to = network.release();
    });
}

void lenette_destroy(Network* network) { delete network; }
int lenette_num_classes(const Network* network) { return network->num_classes(); }

const char* lenette_train(Network* network, const Epoch* epoch, const Steps* steps) {
    return attempt([&] { network->train(*epoch, *steps); });
}

const char* lenette_evaluate(Network* network, const uint8_t* images, int64_t num_images, Scalar* logits) {
    return attempt([&] { network->evaluate(images, num_images, logits); });
}
}
