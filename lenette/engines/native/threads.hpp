// Threads that live as long as one call, and the barrier at which they wait for each other.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace lenette {

class Barrier {
public:
    explicit Barrier(int threads) : threads(threads) {}

    // Wait for all threads; the last one to come first calls `finish`, while no other runs.
    template <class F>
    void wait(F finish) {
        const unsigned before = generation.load(std::memory_order_relaxed);
        if (arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
            finish();
            arrived.store(0, std::memory_order_relaxed);
            generation.store(before + 1, std::memory_order_release);
            return;
        }
        // A phase lasts some tens of microseconds: too short to sleep, unless someone else needs the core.
        for (int spins = 0; generation.load(std::memory_order_acquire) == before; ++spins)
            if (spins > 4000) std::this_thread::yield();
    }

    void wait() {
        wait([] {});
    }

private:
    const int threads;
    std::atomic<int> arrived{0};
    std::atomic<unsigned> generation{0};
};

// Call f(part) for each of `parts` at the same time.
template <class F>
void in_parallel(int parts, F f) {
    std::vector<std::thread> threads;
    for (int part = 1; part < parts; ++part) threads.emplace_back(f, part);
    f(0);
    for (auto& thread : threads) thread.join();
}

}  // namespace lenette
