// Runs the blocks of a launch one after the other, every thread as a fiber, and watches what they do.
//
// A fiber runs until it meets a barrier or a shuffle. In check mode the kernels are compiled with the instrumentation
// of -fsanitize=thread and -fsanitize=signed-integer-overflow, whose hooks are those at the end of this file: an access
// must lie in an array of the launch (to the byte, and read-only ones must not be written), in shared memory that was
// set, or on the stack; two threads of which one writes must be separated by a barrier, two blocks must not meet at
// all, unless both accesses are atomic.
//
// In count mode the same hooks count the traffic of every array: the sectors of 32 bytes that the accesses of a warp at
// one place of the program touch, and those of them that a cache of a given size does not hold.

#include <csetjmp>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <sys/mman.h>
#include <ucontext.h>
#include <tuple>
#include <unordered_map>
#include <vector>

struct uint3 {
    unsigned x, y, z;
};

extern "C" {
uint3 cuda_thread, cuda_block, cuda_block_size, cuda_grid_size;
extern char __start_cuda_shared[] __attribute__((weak));
extern char __stop_cuda_shared[] __attribute__((weak));
}

namespace {

constexpr int STACK = 1 << 16, WARP = 32, SECTOR = 32;

enum State { READY, AT_BARRIER, AT_EXCHANGE, DONE };

struct Fiber {
    jmp_buf here;
    ucontext_t context;
    char* stack = nullptr;
    bool is_started = false;
    State state = READY;
    int line = 0;
    unsigned mask = 0;
    int turn = 0;
    alignas(16) char given[2][16];
};

struct Range {
    char *begin, *end;
    bool is_writable;
};

std::vector<Fiber> fibers;
std::vector<Range> ranges;
jmp_buf scheduler;
void (*kernel)(void**);
void** arguments;
int current, n_threads;
int grain;  // bytes of a place in memory: 4, or less if an array that is written has smaller elements
bool is_checked, is_counted;
char message[512];
bool has_failed;

// -- what was done to a place in memory: the last write, and the last reads -------------------------------------------

struct Access {
    int block = -1, thread = -1, epoch = -1;
    bool is_atomic = false;
};

struct Shadow {
    Access write, read;
    bool many_threads = false, many_blocks = false;  // of the reads: of one epoch of one block, of any
    bool is_set = false;
};

std::unordered_map<std::uintptr_t, Shadow> global_shadow;
std::unordered_map<std::uintptr_t, Shadow> shared_shadow;
int block_number, epoch;

void fail(const char* format, ...)
{
    if (has_failed)
        return;
    has_failed = true;
    va_list list;
    va_start(list, format);
    const int n = std::vsnprintf(message, sizeof message, format, list);
    va_end(list);
    std::snprintf(message + n, sizeof message - n, " (block %u, %u, %u, thread %u, %u, %u)", cuda_block.x, cuda_block.y,
                  cuda_block.z, cuda_thread.x, cuda_thread.y, cuda_thread.z);
}

[[noreturn]] void leave()
{
    _longjmp(scheduler, 1);
}

void pause()
{
    if (_setjmp(fibers[current].here) == 0)
        leave();
}

void body()
{
    kernel(arguments);
    fibers[current].state = DONE;
    leave();
}

void enter(int thread)
{
    Fiber& fiber = fibers[thread];
    current = thread;
    const unsigned x = cuda_block_size.x, y = cuda_block_size.y;
    cuda_thread = {thread % x, thread / x % y, thread / (x * y)};
    if (_setjmp(scheduler) == 0) {
        if (fiber.is_started)
            _longjmp(fiber.here, 1);
        fiber.is_started = true;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, body, 0);
        setcontext(&fiber.context);
    }
}

void run_block(const int* order)
{
    for (char* p = __start_cuda_shared; p != __stop_cuda_shared; ++p)
        *p = char(0xFF);
    shared_shadow.clear();
    epoch = 0;
    for (int t = 0; t < n_threads; ++t) {
        fibers[t].is_started = false;
        fibers[t].state = READY;
        fibers[t].turn = 0;
    }
    for (;;) {
        bool has_run = false, is_done = true;
        for (int k = 0; k < n_threads && !has_failed; ++k)
            if (fibers[order[k]].state == READY) {
                has_run = true;
                enter(order[k]);
            }
        if (has_failed)
            return;
        int at_barrier = 0, line = 0;
        for (int t = 0; t < n_threads; ++t) {
            is_done &= fibers[t].state == DONE;
            if (fibers[t].state == AT_BARRIER) {
                if (at_barrier++ && fibers[t].line != line)
                    return fail("barrier divergence: threads wait at two different barriers");
                line = fibers[t].line;
            }
        }
        if (is_done)
            return;
        if (at_barrier == n_threads) {
            ++epoch;
            for (int t = 0; t < n_threads; ++t)
                fibers[t].state = READY;
            continue;
        }
        bool is_released = false;
        for (int warp = 0; warp < n_threads; warp += WARP) {
            int waiting = -1;
            for (int t = warp; t < warp + WARP && t < n_threads; ++t)
                if (fibers[t].state == AT_EXCHANGE)
                    waiting = t;
            if (waiting < 0)
                continue;
            bool is_complete = true;
            for (int lane = 0; lane < WARP; ++lane)
                if (fibers[waiting].mask >> lane & 1) {
                    const int t = warp + lane;
                    if (t >= n_threads || fibers[t].state == DONE)
                        return fail("shuffle: the mask names lane %d, which is not there", lane);
                    is_complete &= fibers[t].state == AT_EXCHANGE && fibers[t].line == fibers[waiting].line;
                }
            if (is_complete)
                for (int lane = 0; lane < WARP; ++lane)
                    if (fibers[waiting].mask >> lane & 1) {
                        fibers[warp + lane].state = READY;
                        is_released = true;
                    }
        }
        if (!is_released && !has_run)
            return fail("barrier divergence: %d of %d threads wait at a barrier", at_barrier, n_threads);
    }
}

// -- traffic ----------------------------------------------------------------------------------------------------------

struct Traffic {
    long long read = 0, written = 0, fetched = 0, stored = 0;  // bytes
};

struct Request {
    int range;
    bool is_write;
    std::vector<std::uintptr_t> sectors;
};

struct Line {
    std::list<std::uintptr_t>::iterator place;
    int range;
    bool is_dirty;
};

std::vector<Traffic> traffic;                                               // by array
std::map<std::tuple<int, void*, int>, Request> requests;                    // by warp, place in the program and turn
std::unordered_map<std::uintptr_t, std::unordered_map<int, int>> turns_of;  // by place and thread
std::list<std::uintptr_t> by_age;                                           // sectors in the cache, the last used first
std::unordered_map<std::uintptr_t, Line> cache;
std::size_t cache_sectors;

void drop_oldest()
{
    const auto found = cache.find(by_age.back());
    if (found->second.is_dirty)
        traffic[found->second.range].stored += SECTOR;
    cache.erase(found);
    by_age.pop_back();
}

void count(char* p, int size, bool is_write, void* place)
{
    for (std::size_t i = 0; i < ranges.size(); ++i)
        if (p >= ranges[i].begin && p + size <= ranges[i].end) {
            const int turn = turns_of[reinterpret_cast<std::uintptr_t>(place)][current]++;
            Request& request = requests[{current / WARP, place, turn}];
            request.range = int(i);
            request.is_write = is_write;
            const auto address = reinterpret_cast<std::uintptr_t>(p);
            for (std::uintptr_t sector = address / SECTOR; sector <= (address + size - 1) / SECTOR; ++sector) {
                bool is_new = true;
                for (std::uintptr_t known : request.sectors)
                    is_new &= known != sector;
                if (is_new)
                    request.sectors.push_back(sector);
            }
        }
}

// The requests of a block go through the cache, which writes back what it drops.
void count_block()
{
    for (const auto& [key, request] : requests) {
        Traffic& mine = traffic[request.range];
        (request.is_write ? mine.written : mine.read) += SECTOR * (long long)request.sectors.size();
        for (std::uintptr_t sector : request.sectors) {
            const auto found = cache.find(sector);
            bool is_dirty = request.is_write;
            if (found != cache.end()) {
                is_dirty |= found->second.is_dirty;
                by_age.erase(found->second.place);
            } else if (!request.is_write)
                mine.fetched += SECTOR;
            by_age.push_front(sector);
            cache[sector] = {by_age.begin(), request.range, is_dirty};
            if (cache.size() > cache_sectors)
                drop_oldest();
        }
    }
    requests.clear();
    turns_of.clear();
}

bool meets(const Access& other, int thread, bool is_global, bool is_atomic)
{
    if (other.thread < 0 || (is_atomic && other.is_atomic))
        return false;
    if (other.block != block_number)
        return is_global;
    return other.epoch == epoch && other.thread != thread;
}

void touch(std::unordered_map<std::uintptr_t, Shadow>& map, std::uintptr_t cell, bool is_global, bool is_write,
           bool is_atomic)
{
    Shadow& shadow = map[cell];
    const Access now{block_number, current, epoch, is_atomic};
    const char* where = is_global ? "global" : "shared";
    if (meets(shadow.write, current, is_global, is_atomic))
        fail("race on %s memory: written by thread %d of block %d", where, shadow.write.thread, shadow.write.block);
    if (is_write) {
        const bool others = meets(shadow.read, current, is_global, is_atomic) || (is_global && shadow.many_blocks)
            || (shadow.many_threads && shadow.read.block == block_number && shadow.read.epoch == epoch);
        if (others && !(is_atomic && shadow.read.is_atomic))
            fail("race on %s memory: read by thread %d of block %d", where, shadow.read.thread, shadow.read.block);
        shadow.write = now;
        shadow.is_set = true;
    } else {
        const Access& last = shadow.read;
        shadow.many_blocks |= last.block >= 0 && last.block != block_number;
        const bool same = last.block == block_number && last.epoch == epoch;
        shadow.many_threads = same && (shadow.many_threads || last.thread != current);
        shadow.read = now;
    }
}

void access(void* pointer, int size, bool is_write, bool is_atomic = false, void* place = nullptr)
{
    if (is_counted)
        return count(static_cast<char*>(pointer), size, is_write, place);
    if (!is_checked || has_failed)
        return;
    char* p = static_cast<char*>(pointer);
    const Fiber& fiber = fibers[current];
    if (p >= fiber.stack && p + size <= fiber.stack + STACK)
        return;
    char* builtin = reinterpret_cast<char*>(&cuda_thread);
    for (uint3* known : {&cuda_thread, &cuda_block, &cuda_block_size, &cuda_grid_size}) {
        builtin = reinterpret_cast<char*>(known);
        if (p >= builtin && p + size <= builtin + sizeof(uint3))
            return;
    }
    const auto address = reinterpret_cast<std::uintptr_t>(p);
    const int width = size < grain ? size : grain;
    if (address % size && size <= 16)
        fail("%s of %d bytes that is not aligned", is_write ? "write" : "read", size);
    else if (p >= __start_cuda_shared && p + size <= __stop_cuda_shared) {
        for (int k = 0; k < size; k += width) {
            if (!is_write && !shared_shadow[(address + k) / grain].is_set)
                fail("read of shared memory that was not set");
            touch(shared_shadow, (address + k) / grain, false, is_write, is_atomic);
        }
    } else {
        const Range* found = nullptr;
        for (const Range& range : ranges)
            if (p >= range.begin && p + size <= range.end)
                found = &range;
        if (!found)
            fail("%s of %d bytes out of bounds", is_write ? "write" : "read", size);
        else if (is_write && !found->is_writable)
            fail("write to a read-only array");
        else if (found->is_writable)
            for (int k = 0; k < size; k += width)
                touch(global_shadow, (address + k) / grain, true, is_write, is_atomic);
    }
    if (has_failed)
        leave();
}

}  // namespace

extern "C" {

void cuda_barrier(int line)
{
    fibers[current].line = line;
    fibers[current].state = AT_BARRIER;
    pause();
}

int cuda_lane()
{
    return current % WARP;
}

void cuda_exchange(unsigned mask, int lane, const void* given, void* got, int size, int line)
{
    Fiber& fiber = fibers[current];
    if (!(mask >> cuda_lane() & 1)) {
        fail("shuffle: the mask leaves out the lane that calls it");
        leave();
    }
    if (lane < 0 || lane >= WARP) {
        fail("shuffle: lane %d", lane);
        leave();
    }
    const int turn = fiber.turn++ & 1;
    std::memcpy(fiber.given[turn], given, size);
    fiber.line = line;
    fiber.mask = mask;
    fiber.state = AT_EXCHANGE;
    pause();
    std::memcpy(got, fibers[current / WARP * WARP + lane].given[turn], size);
}

void cuda_atomic(void* address, int size)
{
    access(address, size, true, true);
}

// Runs some blocks, given by three numbers each; returns a message, or null.
const char* cuda_launch(void (*called)(void**), const unsigned* grid, const unsigned* block, void** args,
                        void** begins, const long long* sizes, const int* writable, int n_ranges,
                        const unsigned* blocks, long long n_blocks, const int* order, int smallest,
                        int mode, long long cache_bytes)
{
    cuda_grid_size = {grid[0], grid[1], grid[2]};
    cuda_block_size = {block[0], block[1], block[2]};
    n_threads = int(block[0] * block[1] * block[2]);
    kernel = called;
    arguments = args;
    is_checked = mode == 1;
    is_counted = mode == 2;
    cache_sectors = std::size_t(cache_bytes / SECTOR);
    traffic.assign(n_ranges, Traffic());
    grain = smallest;
    has_failed = false;
    ranges.clear();
    global_shadow.clear();
    for (int i = 0; i < n_ranges; ++i) {
        char* begin = static_cast<char*>(begins[i]);
        ranges.push_back({begin, begin + sizes[i], writable[i] != 0});
    }
    if (fibers.size() < 1024) {
        fibers.resize(1024);
        for (Fiber& fiber : fibers)
            fiber.stack = static_cast<char*>(
                mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    }
    for (long long i = 0; i < n_blocks && !has_failed; ++i) {
        cuda_block = {blocks[3 * i], blocks[3 * i + 1], blocks[3 * i + 2]};
        block_number = int(i);
        run_block(order);
        if (is_counted)
            count_block();
    }
    while (!cache.empty())
        drop_oldest();
    is_checked = is_counted = false;
    return has_failed ? message : nullptr;
}

// Of every array of the last launch: bytes read and written by warps, fetched from memory and stored to it.
void cuda_traffic(long long* out)
{
    for (const Traffic& each : traffic)
        for (long long bytes : {each.read, each.written, each.fetched, each.stored})
            *out++ = bytes;
}

long long cuda_shared_bytes()
{
    return __stop_cuda_shared - __start_cuda_shared;
}

// -- the hooks of the instrumentation ---------------------------------------------------------------------------------

#define PLACE __builtin_return_address(0)
#define HOOKS(size)                                                                                                    \
    void __tsan_read##size(void* p) { access(p, size, false, false, PLACE); }                                          \
    void __tsan_write##size(void* p) { access(p, size, true, false, PLACE); }                                          \
    void __tsan_unaligned_read##size(void* p) { access(p, size, false, false, PLACE); }                                \
    void __tsan_unaligned_write##size(void* p) { access(p, size, true, false, PLACE); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void* p, unsigned long n) { access(p, int(n), false, false, PLACE); }
void __tsan_write_range(void* p, unsigned long n) { access(p, int(n), true, false, PLACE); }
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_init() {}

#define OVERFLOW(name)                                                                                                 \
    void __ubsan_handle_##name(void*, void*, void*)                                                                    \
    {                                                                                                                  \
        fail("signed overflow: " #name);                                                                               \
        leave();                                                                                                       \
    }
OVERFLOW(add_overflow)
OVERFLOW(sub_overflow)
OVERFLOW(mul_overflow)
OVERFLOW(divrem_overflow)
OVERFLOW(negate_overflow)
}
