// The main function of the C++ tests, which doctest brings. There is no test here.
#if defined(RETROGRAD_SANITIZED)
#define DOCTEST_CONFIG_NO_POSIX_SIGNALS  // AddressSanitizer's report says more
#endif
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
