// Threads that live as long as one call, and the barrier at which they wait for each other.
#pragma once

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
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

// Call f(part) for each of `parts` at the same time, or, where a thread can't be had, throw before any call. What f throws
// ends the process, so it asks for no memory: see Scratch.
template <class F>
void in_parallel(int parts, F f) {
    std::mutex gate;  // shut until all threads are there
    bool complete = false;
    std::vector<std::thread> threads;
    {
        std::lock_guard<std::mutex> shut(gate);
        try {
            threads.reserve(parts);
            for (int part = 1; part < parts; ++part)
                threads.emplace_back([&, part] {
                    { std::lock_guard<std::mutex> wait(gate); }
                    if (complete) f(part);
                });
            complete = true;
        } catch (const std::exception&) {
        }
    }
    if (complete) f(0);
    for (auto& thread : threads) thread.join();
    if (!complete) throw std::runtime_error("only " + std::to_string(threads.size() + 1) + " threads can be had");
}

}  // namespace lenette
