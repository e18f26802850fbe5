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
#include <thread>
#include <vector>

namespace retrograd {
namespace {

using Clock = std::chrono::steady_clock;

// A helper without work looks for some without a pause, then lets others have its core in between, then sleeps.
constexpr int kSpins = 1000;  // some 20 us
constexpr std::chrono::microseconds kAwake{300};
// A helper is late if the caller waits for it for so much longer than the caller's own part of the phase took. Shorter
// interruptions come and go on every machine; a time slice that another process has takes milliseconds.
constexpr std::chrono::microseconds kPatience{500};

// A word that holds what is left of a member's pieces: the number of the phase, the pieces of the member, and
// how many of these were claimed. A claim is one addition, and it says to which phase it belongs: whoever
// comes late finds the pieces of the present phase, or none.
constexpr std::uint64_t claims_of(std::uint64_t word) { return word & 0xffff; }
constexpr std::uint64_t pieces_of(std::uint64_t word) { return word >> 16 & 0xffff; }
constexpr Index kMostPieces = 0xf000;  // of one member: claims that find nothing count too, and need room
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

  // Starts the helpers, and does not wait for them. False: the system has no thread.
  bool start() {
    if (!can_start(helpers_)) return false;
    try {
      std::thread([self = shared_from_this()] { self->host(); }).detach();
    } catch (const std::exception&) {
      return false;
    }
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
    job_.members = members;
    ++phase_;
    for (int i = 0; i < members; ++i) {
      const auto pieces = static_cast<std::uint64_t>(cut(count, members, i + 1) - cut(count, members, i));
      words_[static_cast<std::size_t>(i)].value.store(word_of(phase_, pieces), std::memory_order_release);
    }
    job_.asked.store(members, std::memory_order_relaxed);
    job_.offered.store(phase_);  // before the question who sleeps: who falls asleep looks again, in the other order
    if (asleep_.load() > 0) wake();
    by_others_ += count - work(0, members);
    if (done_.load(std::memory_order_acquire) == by_others_) return false;
    return wait(begin);
  }

 private:
  struct alignas(64) Word {
    std::atomic<std::uint64_t> value{0};
  };

  // Claims pieces, one's own first, and does them, until none is left. Returns how many these were.
  Index work(int id, int members) {
    Index did = 0;
    for (int i = 0; i < members; ++i) {
      const int owner = (id + i) % members;
      std::atomic<std::uint64_t>& word = words_[static_cast<std::size_t>(owner)].value;
      for (;;) {
        const std::uint64_t seen = word.load(std::memory_order_relaxed);
        if (claims_of(seen) >= pieces_of(seen)) break;
        const std::uint64_t claimed = word.fetch_add(1, std::memory_order_acq_rel);
        if (claims_of(claimed) >= pieces_of(claimed)) break;
        // A piece is claimed: the phase cannot end before it is done, and what describes the phase stays as it is.
        const Share share{cut(job_.count, job_.members, owner) + static_cast<Index>(claims_of(claimed)), job_.count};
        job_.body(job_.context, share, id);
        ++did;
        if (id > 0) done_.fetch_add(1, std::memory_order_release);
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

  void host() {
#pragma omp parallel num_threads(helpers_)
    help(omp_get_thread_num() + 1);
  }

  void help(int id) {
    std::uint32_t seen = 0;
    while (!leave_.load(std::memory_order_relaxed)) {
      const std::uint32_t offered = job_.offered.load(std::memory_order_acquire);
      if (offered == seen) {
        await(seen);
        continue;
      }
      seen = offered;
      const int members = job_.asked.load(std::memory_order_relaxed);
      if (id < members) work(id, members);
    }
  }

  // Returns when another phase than `seen` was offered, or when the crew is dismissed.
  void await(std::uint32_t seen) {
    const auto news = [&] {
      return job_.offered.load(std::memory_order_relaxed) != seen || leave_.load(std::memory_order_relaxed);
    };
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
    std::unique_lock<std::mutex> lock(mutex_);
    asleep_.fetch_add(1);
    woken_.wait(lock, [&] { return job_.offered.load() != seen || leave_.load(); });
    asleep_.fetch_sub(1);
  }

  // What the phase is, in the line that helpers watch: one transfer tells them all. It is written by the caller between
  // phases, and read by those who have claimed a piece.
  struct alignas(64) Job {
    std::atomic<std::uint32_t> offered{0};  // the number of the phase
    std::atomic<int> asked{1};              // members, for those who have claimed nothing yet
    void (*body)(void*, const Share&, int) = nullptr;
    void* context = nullptr;
    Index count = 0;
    int members = 1;
  };

  std::vector<Word> words_;  // one for each member
  std::uint32_t phase_ = 0;
  Index by_others_ = 0;  // pieces that helpers have done in all phases, once the present one is over
  const int helpers_;
  Job job_;
  alignas(64) std::atomic<Index> done_{0};  // pieces that helpers have done
  alignas(64) std::atomic<int> asleep_{0};
  std::atomic<bool> leave_{false};
  std::mutex mutex_;
  std::condition_variable woken_;
};

namespace {

// The crews that no call uses at the moment.
class Resting {
 public:
  // A crew of at least so many helpers, or null.
  std::shared_ptr<Crew> take(int helpers) {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (std::shared_ptr<Crew>& crew : crews_) {
      if (crew->helpers() < helpers) continue;
      std::swap(crew, crews_.back());
      return take_last();
    }
    if (!crews_.empty()) take_last()->dismiss();  // a larger one takes its place
    auto crew = std::make_shared<Crew>(helpers);
    return crew->start() ? crew : nullptr;
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
  crew_ = resting().take(helpers);
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
  struct Rest {  // a stretch of the pieces, as a phase of its own
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
