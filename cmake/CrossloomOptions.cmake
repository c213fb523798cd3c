# Build options, warnings, sanitizers, compiler cache and linker. Everything is a target or a
# cache entry; no global flags besides the language standard.
if(CMAKE_SOURCE_DIR STREQUAL CMAKE_BINARY_DIR)
  message(FATAL_ERROR "Build outside the source tree: cmake --preset release")
endif()

option(CROSSLOOM_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(CROSSLOOM_PARSERS_ONLY "Only the torch-free parsers and their tests" OFF)
option(CROSSLOOM_FUZZ "Build the libFuzzer targets (needs clang)" OFF)
option(CROSSLOOM_WERROR "Treat warnings as errors" ON)
set(CROSSLOOM_CUDA "AUTO" CACHE STRING "CUDA part: AUTO (when nvcc is found), ON, OFF")
set(CROSSLOOM_CUDA_ARCHITECTURES "90" CACHE STRING "GPU architectures of the CUDA part")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

find_program(CROSSLOOM_CCACHE ccache)
if(CROSSLOOM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # The sloppiness lets ccache serve units that use a precompiled header.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} ${CROSSLOOM_CCACHE})
endif()

add_library(crossloom_build_flags INTERFACE)
target_compile_options(crossloom_build_flags INTERFACE
  $<BUILD_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-Wall$<SEMICOLON>-Wextra$<SEMICOLON>-Wpedantic$<SEMICOLON>-Wshadow$<SEMICOLON>-Wconversion>>
  $<BUILD_INTERFACE:$<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${CROSSLOOM_WERROR}>>:-Werror>>)
target_compile_features(crossloom_build_flags INTERFACE cxx_std_20)
target_include_directories(crossloom_build_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<INSTALL_INTERFACE:include/crossloom>)
find_program(CROSSLOOM_MOLD mold)
if(CROSSLOOM_MOLD)
  target_link_options(crossloom_build_flags INTERFACE $<BUILD_INTERFACE:-fuse-ld=mold>)
endif()
if(CROSSLOOM_SANITIZE)
  target_compile_options(crossloom_build_flags INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  target_link_options(crossloom_build_flags INTERFACE -fsanitize=address,undefined)
endif()
if(CROSSLOOM_FUZZ)  # coverage that the fuzzers steer by; their main comes from tests/fuzz
  target_compile_options(crossloom_build_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# For files that Highway compiles once per instruction set. Sanitized vector loops take minutes for
# each: the narrowest, AVX2 and a wide one will do there.
function(crossloom_vector_sources)
  if(CROSSLOOM_SANITIZE)
    set_source_files_properties(${ARGN} PROPERTIES COMPILE_DEFINITIONS
      "HWY_DISABLED_TARGETS=(HWY_SSSE3|HWY_SSE4|HWY_AVX3)")
  endif()
endfunction()

# For targets whose every file uses LibTorch: links it and reuses the one precompiled header.
function(crossloom_use_tensors target)
  target_link_libraries(${target} PUBLIC crossloom_tensor)
  target_precompile_headers(${target} REUSE_FROM crossloom_tensor)
  get_target_property(kind ${target} TYPE)
  if(kind STREQUAL "EXECUTABLE")  # the shared header is compiled with -fPIC; -fPIE would not match it
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
endfunction()
