# The parts of tests/run: tools, which are fetched where they are missing, and one function for each part
# of the tests. tests/run sources this file in the root of the repository; it is not a command of its own.

python=${PYTHON:-python3}
jobs=${JOBS:-$(nproc)}
export CMAKE_BUILD_PARALLEL_LEVEL=$jobs  # pip uses it too
strict=-DCMAKE_COMPILE_WARNING_AS_ERROR=ON
venv=build/test-venv           # the package and what its tests need
cmake_bin=$PWD/build/tools/bin  # cmake, ctest, ninja

# Tests start some 200 interpreters, so what these import is compiled to bytecode once, whatever
# the caller's environment says.
unset PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX=$PWD/build/bytecode

say() { printf '\n== %s (after %s s)\n' "$*" "$SECONDS"; }

debian() {  # debian PACKAGE REASON: installs it, or says what to do
  say "$2: installing $1"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1" >/dev/null
  else
    echo "tests/run: $2: please install it (Debian, Ubuntu: apt-get install $1)" >&2
    exit 1
  fi
}

headers() {
  "$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' ||
    debian python3-dev "Python's headers are missing"
}

doctest() {
  echo '#include <doctest/doctest.h>' | g++ -E -x c++ - >/dev/null 2>&1 || debian doctest-dev "doctest is missing"
}

need() {  # need PROGRAM PACKAGE
  command -v "$1" >/dev/null || debian "$2" "$1 is missing"
}

clang() {  # clang VERSION: the compiler, its OpenMP and its sanitizers' libraries
  need "clang++-$1" "clang-$1"
  echo '#include <omp.h>' | "clang++-$1" -fopenmp -E -x c++ - >/dev/null 2>&1 || debian "libomp-$1-dev" "clang's OpenMP is missing"
}

environment() {  # environment FOLDER EXTRAS PIP-OPTIONS...: a fresh virtual environment with the package in it
  local folder=$1 extras=$2
  shift 2
  rm -rf "$folder"
  "$python" -m venv "$folder"
  "$folder/bin/python" -m pip install -q --disable-pip-version-check "$@" ".[$extras]"
}

tools() {  # tools PACKAGE...: cmake and ninja, and more, in an environment of their own
  [ -x "$cmake_bin/python" ] || "$python" -m venv build/tools
  [[ $# = 0 && -x $cmake_bin/cmake && -x $cmake_bin/ninja ]] ||
    "$cmake_bin/python" -m pip install -q --disable-pip-version-check cmake ninja "$@"
}

cpp_configure() {  # cpp_configure TREE CMAKE-OPTIONS...
  local tree=$1
  shift
  "$cmake_bin/cmake" -S . -B "$tree" -G Ninja -DCMAKE_MAKE_PROGRAM="$cmake_bin/ninja" -DRETROGRAD_PYTHON=OFF \
    -DRETROGRAD_TESTS=ON "$strict" "$@" >"$tree.log" 2>&1 || { cat "$tree.log"; exit 1; }
}

cpp_build() {  # cpp_build TREE CMAKE-OPTIONS...: the C++ tests without the package
  cpp_configure "$@"
  "$cmake_bin/cmake" --build "$1" -j "$jobs" >>"$1.log" 2>&1 || { tail -50 "$1.log"; exit 1; }
}

cpp_tests() {  # cpp_tests TREE TIER: the C++ tests that were built there
  PATH=$cmake_bin:$PATH "$cmake_bin/ctest" --test-dir "$1" -L "$2" --output-on-failure -j "$jobs"
  # These are the figures that the tests themselves counted.
  awk '/assertions:/ { n += $3 } / shapes$/ { shapes += $(NF - 1) } END { print n " comparisons, " shapes + 0 " shapes of layers" }' \
    "$1/Testing/Temporary/LastTest.log"
}

# Sets `settings` to what pip is told so that the package and the C++ tests are built in one tree, TREE,
# which have the same objects.
with_tests() {  # with_tests TREE
  settings=(-C "build-dir=$1" -C cmake.define.RETROGRAD_TESTS=ON -C cmake.define.CMAKE_COMPILE_WARNING_AS_ERROR=ON)
}

python_tests() {  # python_tests PYTEST-OPTIONS...; with RETROGRAD_TEST_LONG=1 there are many examples, and they are counted
  "$venv/bin/python" -m pytest tests/python "$@"
}

# ------------------------------------------------------------------------------------------------ the parts

package() {  # the wheel, built in isolation and installed into a fresh environment; beside it the C++ tests, in build/tests
  headers
  doctest
  with_tests build/tests
  environment "$venv" test --no-compile "${settings[@]}"
}

package_beside() {  # package_beside NAME SETTINGS...: another build of it, in build/NAME, and in build/NAME-package for PYTHONPATH
  local name=$1
  shift
  with_tests "build/$name"
  rm -rf "build/$name-package"
  "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --target "build/$name-package" "${settings[@]}" "$@" .
}

linters() {
  "$venv/bin/ruff" check python tests
  "$venv/bin/mypy"
}

sanitized() {  # the C++ tests of the ordinary tier
  tools
  cpp_build build/sanitized -DRETROGRAD_SANITIZE=ON
  RETROGRAD_TEST_SIZES=few cpp_tests build/sanitized short
}

sanitized_package() { package_beside sanitized-all -C cmake.define.RETROGRAD_SANITIZE=ON -C install.strip=false; }

sanitized_python() {  # sanitized_python PYTEST-OPTIONS...
  # The interpreter is not sanitized, so the libraries must come first; its own leaks are not ours.
  PYTHONPATH=$PWD/build/sanitized-all-package ASAN_OPTIONS=detect_leaks=0 RETROGRAD_TEST_SANITIZED=1 \
    LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libubsan.so)" python_tests "$@"
}

threads() {  # threads CLANG-VERSION
  doctest
  clang "$1"
  [ -e "$("clang++-$1" -print-resource-dir)/lib/linux/libclang_rt.tsan-x86_64.a" ] ||
    debian "libclang-rt-$1-dev" "ThreadSanitizer is missing"
  tools
  cpp_build build/threads -DCMAKE_CXX_COMPILER="clang++-$1" -DRETROGRAD_SANITIZE_THREADS=ON
  # Waiting threads sleep, because there are more of them than cores.
  OMP_WAIT_POLICY=passive cpp_tests build/threads short
}

tidy() {  # tidy CLANG-VERSION
  headers
  clang "$1"
  need "clang-tidy-$1" "clang-tidy-$1"
  tools pybind11
  cpp_configure build/tidy -DCMAKE_CXX_COMPILER="clang++-$1" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON -DRETROGRAD_PYTHON=ON \
    -DRETROGRAD_TESTS=OFF -DCMAKE_UNITY_BUILD=OFF -Dpybind11_DIR="$("$cmake_bin/python" -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$cmake_bin/python"
  # The analyzer's paths are left out where they would go through every inlined tile, or all of pybind11.
  local slow='cpp/(kernels/kernels|bindings/.*).cpp' files
  files=$(find cpp -name '*.cpp')
  printf '%s\n' $files | grep -vE "$slow" | xargs -P "$jobs" -n 1 "clang-tidy-$1" --quiet -p build/tidy 2>/dev/null
  printf '%s\n' $files | grep -E "$slow" |
    xargs -P "$jobs" -n 1 "clang-tidy-$1" --quiet "--checks=-clang-analyzer-*" -p build/tidy 2>/dev/null
  echo "$(wc -w <<<"$files") files"
}

aarch64() {
  doctest
  need aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
  need qemu-aarch64 qemu-user
  tools
  cpp_build build/aarch64 "-DCMAKE_TOOLCHAIN_FILE=$PWD/tests/cpp/aarch64.cmake"
  cpp_tests build/aarch64 long
}

by_clang() {  # by_clang CLANG-VERSION: the package, the C++ tests and the Python tests
  clang "$1"
  tools
  export CXX=clang++-$1
  package_beside "clang-$1"
  export PYTHONPATH=$PWD/build/clang-$1-package
  "$venv/bin/python" -m retrograd info
  cpp_tests "build/clang-$1" short
  python_tests
}

# peers KIND: the Python tests of the installed package beside other libraries. "newest": with PyTorch, and with the newest
# NumPy, pandas, scikit-learn, SciPy, ...; "oldest": with the oldest of them that pyproject.toml allows, without PyTorch.
peers() {
  local folder=build/peers-$1 package=build/peers-package site
  site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  rm -rf "$folder" "$package"
  mkdir "$package"
  cp -r "$site"/retrograd "$site"/retrograd-*.dist-info "$package"
  "$python" -m venv "$folder"
  "$python" tests/peers.py "$1" >"$folder/requirements.txt"
  "$folder/bin/python" -m pip install -q --disable-pip-version-check -r "$folder/requirements.txt"
  "$folder/bin/python" -m pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(torch|numpy|pandas|scikit-learn|scipy|matplotlib) '
  PYTHONPATH=$PWD/$package "$folder/bin/python" -m pytest tests/python
}
