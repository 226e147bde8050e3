/* Runs a network on an emulated machine without an operating system: images come from the host's file images.bin by
   semihosting, logits go to out.bin. The stack is painted first, so that its deepest use can be told in stack.bin. */
#include "net.h"

#define PAINT 0xA5u

extern uint8_t stack_low[], stack_high[]; /* from the linker script */

static long host(long what, volatile const void *about) {
#ifdef __arm__
    register long r0 __asm__("r0") = what;
    register volatile const void *r1 __asm__("r1") = about;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#else
    register long a0 __asm__("a0") = what;
    register volatile const void *a1 __asm__("a1") = about;
    __asm__ volatile(".option push\n.option norvc\n.balign 16\nslli x0, x0, 0x1f\nebreak\nsrai x0, x0, 7\n.option pop"
                     : "+r"(a0) : "r"(a1) : "memory");
    return a0;
#endif
}

static long host3(long what, long first, long second, long third) {
    volatile long about[3];
    about[0] = first;
    about[1] = second;
    about[2] = third;
    return host(what, about);
}

static uint8_t image[NET_PIXELS];
static uint16_t memory[NET_MEMORY / 2];
static int16_t logits[NET_CLASSES];

void start(void);
void start(void) {
    uint8_t here;
    volatile uint8_t *end = (volatile uint8_t *)((uintptr_t)&here - 64);
    for (volatile uint8_t *at = stack_low; at < end; at++) *at = PAINT;
    long from = host3(1, (long)"images.bin", 1, 10), to = host3(1, (long)"out.bin", 5, 7);
    while (host3(6, from, (long)image, sizeof image) == 0) {
        net_logits(image, memory, logits);
        host3(5, to, (long)logits, sizeof logits);
    }
    host3(2, to, 0, 0);
    uint8_t *deepest = stack_low;
    while (*deepest == PAINT) deepest++;
    long used = stack_high - deepest, told = host3(1, (long)"stack.bin", 5, 9);
    host3(5, told, (long)&used, sizeof used);
    host(0x18, (void *)0x20026); /* the application's exit */
    for (;;) {}
}

/* What the compiler may call on its own. */
void *memcpy(void *to, const void *from, __SIZE_TYPE__ count);
void *memset(void *to, int value, __SIZE_TYPE__ count);
void *memcpy(void *to, const void *from, __SIZE_TYPE__ count) {
    for (__SIZE_TYPE__ one = 0; one < count; one++) ((volatile uint8_t *)to)[one] = ((const uint8_t *)from)[one];
    return to;
}
void *memset(void *to, int value, __SIZE_TYPE__ count) {
    for (__SIZE_TYPE__ one = 0; one < count; one++) ((volatile uint8_t *)to)[one] = (uint8_t)value;
    return to;
}

#ifdef __arm__
__attribute__((section(".first"), used)) static void *const vectors[] = {stack_high, (void *)start};
#else
__attribute__((section(".first"), naked, used)) void first(void);
void first(void) { __asm__ volatile("la sp, stack_high\nj start"); }
#endif
