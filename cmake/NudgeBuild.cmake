# What every target of the project shares: the standard, the warnings, the sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release)
endif()

if(NUDGE_SANITIZE)
  add_compile_options(-fsanitize=${NUDGE_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${NUDGE_SANITIZE})
endif()

# Applies the project's rules to one of its own targets.
function(nudge_target target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Werror)
  # GCC 12 sees overlapping copies in `"text" + std::string` where there are none (its bug 105651).
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  # With the sanitizers' own code in between, GCC takes a std::optional that was just asked for one
  # that was never set; the other presets keep the warning.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NUDGE_SANITIZE)
    target_compile_options(${target} PRIVATE -Wno-maybe-uninitialized)
  endif()
  # Designated initializers leave members at their defaults on purpose.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    target_compile_options(${target} PRIVATE -Wno-missing-field-initializers)
  endif()
endfunction()

# One library per module folder: every .cc in it, its own folder and include/ to include from.
function(nudge_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(nudge_${name} STATIC ${sources})
  target_include_directories(nudge_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(nudge_${name} PUBLIC nudge_core)
  nudge_target(nudge_${name})
endfunction()
