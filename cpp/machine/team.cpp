// See team.h.
//
// A crew is a thread of ours that hosts an OpenMP region, whose members are the helpers. It stays together
// from call to call: a region of the caller's own would have to wait for all its threads at its end. A crew
// without work spins for a moment, then sleeps.
#include "machine/team.h"

#include <omp.h>
#include <sched.h>

#include <condition_variable>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace retrograd {
namespace {

using Clock = std::chrono::steady_clock;

// A new helper is waited for so long, because the first phases that a team gets decide whether it pays.
constexpr std::chrono::microseconds kArrival{2000};

// A helper without work looks for some without a pause, then lets others have its core in between, then sleeps.
constexpr int kSpins = 1000;  // some 20 us
constexpr std::chrono::microseconds kAwake{300};
// A helper is late if the caller waits for it for so much longer than the caller's own part of the phase took. Shorter
// interruptions come and go on every machine; a time slice that another process has takes milliseconds.
constexpr std::chrono::microseconds kPatience{500};

// A word that holds what is left of a member's pieces: the number of the phase, the pieces of the member, and
// how many of these were claimed. A claim names the phase that it is for: whoever comes late finds none.
constexpr std::uint32_t phase_of(std::uint64_t word) { return static_cast<std::uint32_t>(word >> 32); }
constexpr std::uint64_t claims_of(std::uint64_t word) { return word & 0xffff; }
constexpr std::uint64_t pieces_of(std::uint64_t word) { return word >> 16 & 0xffff; }
constexpr Index kMostPieces = 0xffff;  // of one member
constexpr std::uint64_t word_of(std::uint32_t phase, std::uint64_t pieces) { return std::uint64_t{phase} << 32 | pieces << 16; }

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

class Crew : public std::enable_shared_from_this<Crew> {
 public:
  explicit Crew(int helpers) : words_(static_cast<std::size_t>(helpers) + 1), helpers_(helpers) {}

  int helpers() const { return helpers_; }

  // Starts the helpers, and waits for them for a moment, if they come. False: the system has no thread.
  bool start() {
    if (!can_start(helpers_ + 1)) return false;
    try {
      std::thread([self = shared_from_this()] { self->host(); }).detach();
    } catch (const std::exception&) {
      return false;
    }
    const Clock::time_point begin = Clock::now();
    while (arrived_.load(std::memory_order_relaxed) < helpers_ && Clock::now() - begin < kArrival) sched_yield();
    return true;
  }

  // Sends the helpers home.
  void dismiss() {
    const std::lock_guard<std::mutex> lock(mutex_);
    leave_.store(true);
    woken_.notify_all();
  }

  // The caller's part: offers a phase to `members`, works on it, and waits for its end. True: a helper was late.
  bool run(int members, Index count, void (*body)(void*, const Share&, int), void* context) {
    const Clock::time_point begin = Clock::now();
    job_.body = body;
    job_.context = context;
    job_.count = count;
    ++phase_;
    for (int i = 0; i < members; ++i) {
      const auto pieces = static_cast<std::uint64_t>(cut(count, members, i + 1) - cut(count, members, i));
      words_[static_cast<std::size_t>(i)].value.store(word_of(phase_, pieces), std::memory_order_release);
    }
    const bool more = members > job_.members.exchange(members);
    job_.offered.store(phase_);  // before the question who sleeps: who falls asleep looks again, in the other order
    if (more || asleep_.load() > 0) wake();
    by_others_ += count - work(0, phase_, members);
    if (done_.load(std::memory_order_acquire) == by_others_) return false;
    return wait(begin);
  }

 private:
  struct alignas(64) Word {
    std::atomic<std::uint64_t> value{0};
  };

  // Claims pieces of a phase, one's own first, and does them, until none is left. Returns how many these were.
  Index work(int id, std::uint32_t phase, int members) {
    Index did = 0;
    for (int i = 0; i < members; ++i) {
      const int owner = (id + i) % members;
      std::atomic<std::uint64_t>& word = words_[static_cast<std::size_t>(owner)].value;
      std::uint64_t seen = word.load(std::memory_order_relaxed);
      while (phase_of(seen) == phase && claims_of(seen) < pieces_of(seen)) {
        if (!word.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
        // A piece is claimed: the phase cannot end before it is done, and what describes the phase stays as it is.
        const Share share{cut(job_.count, members, owner) + static_cast<Index>(claims_of(seen)), job_.count};
        job_.body(job_.context, share, id);
        ++did;
        if (id > 0) done_.fetch_add(1, std::memory_order_release);
        seen = word.load(std::memory_order_relaxed);
      }
    }
    return did;
  }

  bool wait(Clock::time_point begin) {
    const Clock::time_point from = Clock::now();
    for (int spins = 0; done_.load(std::memory_order_acquire) != by_others_; ++spins) {
      if (spins < kSpins) {
        relax();
      } else {
        sched_yield();  // the helper may be waiting for this very core
      }
    }
    return Clock::now() - from > (from - begin) + kPatience;
  }

  void wake() {
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_.notify_all();
  }

  // Thread 0 only holds the place of the caller: where OpenMP binds threads to places (OMP_PROC_BIND), that of a region's
  // first thread is the caller's.
  void host() {
#pragma omp parallel num_threads(helpers_ + 1)
    {
      const int id = omp_get_thread_num();
      if (id > 0) {
        arrived_.fetch_add(1, std::memory_order_relaxed);
        help(id);
      } else {
        std::unique_lock<std::mutex> lock(mutex_);
        woken_.wait(lock, [&] { return leave_.load(); });
      }
    }
  }

  void help(int id) {
    std::uint32_t seen = 0;
    while (!leave_.load(std::memory_order_relaxed)) {
      const std::uint32_t offered = job_.offered.load(std::memory_order_acquire);
      // They may be those of a later phase; then no piece of this one is left.
      const int members = job_.members.load(std::memory_order_relaxed);
      if (offered == seen || id >= members) {
        await(id, seen);
        continue;
      }
      seen = offered;
      work(id, offered, members);
    }
  }

  bool is_asked(int id) const { return id < job_.members.load(); }

  // Returns when another phase than `seen` was offered to this helper too, or when the crew is dismissed.
  void await(int id, std::uint32_t seen) {
    const auto news = [&] { return leave_.load() || (job_.offered.load() != seen && is_asked(id)); };
    for (int spins = 0; spins < kSpins; ++spins) {
      if (news()) return;
      relax();
    }
    const Clock::time_point begin = Clock::now();
    while (Clock::now() - begin < kAwake) {
      for (int spins = 0; spins < 50; ++spins) {
        if (news()) return;
        relax();
      }
      sched_yield();
    }
    // Only who is asked is counted: the caller wakes all when it counts somebody, and when it asks more than before.
    std::unique_lock<std::mutex> lock(mutex_);
    bool counted = false;
    while (!news()) {
      if (is_asked(id) != counted) {
        counted = !counted;
        asleep_.fetch_add(counted ? 1 : -1);
        continue;  // a phase may have been offered before the caller could see the count
      }
      woken_.wait(lock);
    }
    if (counted) asleep_.fetch_sub(1);
  }

  // What the phase is, in the line that helpers watch: one transfer tells them all. It is written by the caller between
  // phases, and read by those who have claimed a piece.
  struct alignas(64) Job {
    std::atomic<std::uint32_t> offered{0};  // the number of the phase
    std::atomic<int> members{1};
    void (*body)(void*, const Share&, int) = nullptr;
    void* context = nullptr;
    Index count = 0;
  };

  std::vector<Word> words_;  // one for each member
  std::uint32_t phase_ = 0;
  Index by_others_ = 0;  // pieces that helpers have done in all phases, once the present one is over
  const int helpers_;
  Job job_;
  alignas(64) std::atomic<Index> done_{0};  // pieces that helpers have done
  alignas(64) std::atomic<int> asleep_{0};
  std::atomic<bool> leave_{false};
  std::atomic<int> arrived_{0};
  std::mutex mutex_;
  std::condition_variable woken_;
};

namespace {

// The crews that no call uses at the moment.
class Resting {
 public:
  // The smallest crew of at least so many helpers, or null.
  std::shared_ptr<Crew> take(int helpers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto found = crews_.end();
    for (auto crew = crews_.begin(); crew != crews_.end(); ++crew) {
      if ((*crew)->helpers() < helpers || (found != crews_.end() && (*found)->helpers() <= (*crew)->helpers())) continue;
      found = crew;
    }
    if (found != crews_.end()) {
      std::swap(*found, crews_.back());
      return take_last();
    }
    crews_.reserve(++living_);  // giving one back must not need memory
    auto crew = std::make_shared<Crew>(helpers);
    if (!crew->start()) return nullptr;
    if (!crews_.empty()) take_last()->dismiss();  // the new one, which is larger, takes its place
    return crew;
  }
  void give(std::shared_ptr<Crew> crew) {
    const std::lock_guard<std::mutex> lock(mutex_);
    crews_.push_back(std::move(crew));
  }

 private:
  std::shared_ptr<Crew> take_last() {
    std::shared_ptr<Crew> crew = std::move(crews_.back());
    crews_.pop_back();
    return crew;
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<Crew>> crews_;
  std::size_t living_ = 0;  // at most so many have been started
};

// It is never destroyed: helpers may outlive whatever ends the process.
Resting& resting() {
  static Resting* const all = new Resting;
  return *all;
}

}  // namespace

void Team::change(int size) {
  if (size - 1 > asked_) hire(size - 1);
  size_ = std::max(1, std::min(size, helpers_ + 1));
  busy_.become(size_);
}

void Team::hire(int helpers) {
  asked_ = helpers;
  helpers = std::min(helpers, omp_get_thread_limit() - 1);
  if (helpers < 1 || threads_are_lost() || forked()) return;
  // OpenMP says how deep teams may be nested, in a parallel region of the caller or at all.
  if (omp_get_active_level() >= omp_get_max_active_levels()) return;
  note_team();
  if (crew_) resting().give(std::move(crew_));
  try {
    crew_ = resting().take(helpers);
  } catch (const std::bad_alloc&) {  // then the caller works alone
  }
  helpers_ = crew_ ? helpers : 0;
}

Team::~Team() {
  if (crew_ && !forked()) resting().give(std::move(crew_));
}

void Team::offer(Index count, void (*body)(void*, const Share&, int), void* context) {
  const Index most = kMostPieces * size_;
  if (count <= most) {
    late_ = crew_->run(size_, count, body, context) || late_;
    return;
  }
  struct Rest {  // some of the pieces, as a phase of their own
    void (*body)(void*, const Share&, int);
    void* context;
    Index first, count;
  };
  for (Index first = 0; first < count; first += most) {
    Rest rest{body, context, first, count};
    const auto shifted = [](void* context_of_rest, const Share& share, int worker) {
      const Rest& all = *static_cast<Rest*>(context_of_rest);
      all.body(all.context, Share{all.first + share.id, all.count}, worker);
    };
    late_ = crew_->run(size_, std::min(most, count - first), shifted, &rest) || late_;
  }
}

}  // namespace retrograd
