// What a test changes of its process and puts back: the environment, OpenMP's limit; and forked children.
// There is no test here.
#pragma once

#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "support/helpers.h"

namespace retrograd::testing {

// Sets an environment variable for as long as this lives; null: unset.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    set(value);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { set(old_ ? old_->c_str() : nullptr); }

 private:
  void set(const char* value) {
    if (value) {
      setenv(name_, value, 1);
    } else {
      unsetenv(name_);
    }
  }
  const char* name_;
  std::optional<std::string> old_;
};

// Sets OpenMP's own limit, as threadpoolctl does, for as long as this lives.
class OpenMpThreads {
 public:
  explicit OpenMpThreads(int n) : old_(omp_get_max_threads()) { omp_set_num_threads(n); }
  OpenMpThreads(const OpenMpThreads&) = delete;
  OpenMpThreads& operator=(const OpenMpThreads&) = delete;
  ~OpenMpThreads() { omp_set_num_threads(old_); }

 private:
  int old_;
};

// Returns what `body` returns in a forked child, or -1 where the child hangs or dies.
template <class F>
inline int in_child(F body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(10);
    _exit(body());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace retrograd::testing
