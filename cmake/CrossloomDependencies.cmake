# Everything from outside, once; also what the installed package looks for. README, "What it is built from", says what each is for.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp REQUIRED)
if(NOT TARGET yaml-cpp::yaml-cpp)  # 0.7 has only the short name
  add_library(yaml-cpp::yaml-cpp INTERFACE IMPORTED)
  target_link_libraries(yaml-cpp::yaml-cpp INTERFACE yaml-cpp)
endif()

find_path(CROSSLOOM_PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(CROSSLOOM_PCRE2_LIBRARY pcre2-8 REQUIRED)
file(STRINGS ${CROSSLOOM_PCRE2_INCLUDE}/pcre2.h _pcre2_minor REGEX "#define PCRE2_MINOR")
string(REGEX MATCH "[0-9]+$" _pcre2_minor "${_pcre2_minor}")
if(_pcre2_minor LESS 40)
  message(FATAL_ERROR "PCRE2 10.${_pcre2_minor} is too old: 10.40 or later is needed (\\p{White_Space}).")
endif()
add_library(PCRE2::pcre2 UNKNOWN IMPORTED)
set_target_properties(PCRE2::pcre2 PROPERTIES
  IMPORTED_LOCATION ${CROSSLOOM_PCRE2_LIBRARY}
  INTERFACE_INCLUDE_DIRECTORIES ${CROSSLOOM_PCRE2_INCLUDE}
  INTERFACE_COMPILE_DEFINITIONS PCRE2_CODE_UNIT_WIDTH=8)

find_path(CROSSLOOM_XXHASH_INCLUDE xxhash.h REQUIRED)
add_library(crossloom_xxhash INTERFACE IMPORTED)
target_include_directories(crossloom_xxhash SYSTEM INTERFACE ${CROSSLOOM_XXHASH_INCLUDE})
target_compile_definitions(crossloom_xxhash INTERFACE XXH_INLINE_ALL)

find_package(LibTorch REQUIRED)  # also brings fmt's headers, which the parsers use
if(CROSSLOOM_PARSERS_ONLY)
  return()
endif()

find_package(hwy REQUIRED)  # SIMD by the CPU that runs it
find_package(MPI REQUIRED COMPONENTS C)
target_compile_definitions(MPI::MPI_C INTERFACE OMPI_SKIP_MPICXX)
set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(CLI11 REQUIRED)

