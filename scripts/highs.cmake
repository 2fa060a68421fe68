# How HiGHS is compiled, for this project's builds (.cargo/config.toml names this file).
#
# Sources are compiled sixteen at a time, as HiGHS itself does eight at a time on macOS, which spares
# reading the same headers 220 times; and with -O2, which compiles sooner than -O3. Neither changes a
# result: without -ffast-math, floating-point arithmetic is the same at every level of optimisation.
set(CMAKE_UNITY_BUILD ON CACHE BOOL "")
set(CMAKE_UNITY_BUILD_BATCH_SIZE 16 CACHE STRING "")
set(CMAKE_UNITY_BUILD_UNIQUE_ID HIGHS_UNITY_ID CACHE STRING "")
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG" CACHE STRING "")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG" CACHE STRING "")
