// The main function of the C++ tests; doctest brings it. No test of its own.
#if defined(RETROGRAD_SANITIZED)
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS  // AddressSanitizer's report says more
#endif
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
