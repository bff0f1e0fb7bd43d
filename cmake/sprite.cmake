# What every target of ours is built with, and sprite_library(): a folder is a library.

add_library(sprite_options INTERFACE)
target_compile_options(sprite_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror
  -Wno-restrict -Wno-stringop-overflow -Wno-maybe-uninitialized -Wno-array-bounds -Wno-mismatched-new-delete  # GCC 12 is wrong about std::string and coroutines
  $<$<BOOL:${CCACHE}>:-fpch-preprocess>)
target_include_directories(sprite_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
# Without FMT_HEADER_ONLY: what {fmt} declares is translated once, in base/formatting.cpp.
target_include_directories(sprite_options SYSTEM INTERFACE $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
target_compile_definitions(sprite_options INTERFACE
  _FILE_OFFSET_BITS=64
  SPRITE_VERSION="${PROJECT_VERSION}"
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)
if(SPRITE_SANITIZE)
  target_compile_options(sprite_options INTERFACE -fsanitize=${SPRITE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(sprite_options INTERFACE -fsanitize=${SPRITE_SANITIZE})
  if(SPRITE_SANITIZE MATCHES thread)
    target_compile_options(sprite_options INTERFACE -Wno-tsan)
  endif()
endif()
if(SPRITE_COVERAGE)
  target_compile_options(sprite_options INTERFACE --coverage)
  target_link_options(sprite_options INTERFACE --coverage)
endif()

# sprite_library(name DEPENDS other libraries...): src/<name>/*.cpp as static library sprite_<name>. DEPENDS is all that the
# folder may include; tests/unit/includes_test.py checks the includes against ARCHITECTURE.md.
# ASIO: also uses the precompiled Asio and Beast headers.
function(sprite_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ASIO" "" "DEPENDS;LINK")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  if(NOT sources)
    return()
  endif()
  add_library(sprite_${name} STATIC ${sources})
  target_link_libraries(sprite_${name} PUBLIC sprite_options ${arg_LINK})
  foreach(dependency IN LISTS arg_DEPENDS)
    if(TARGET sprite_${dependency})
      target_link_libraries(sprite_${name} PUBLIC sprite_${dependency})
    endif()
  endforeach()
  if(arg_ASIO)
    target_precompile_headers(sprite_${name} REUSE_FROM sprite_precompiled_asio)
  else()
    target_precompile_headers(sprite_${name} REUSE_FROM sprite_precompiled)
  endif()
endfunction()

# sprite_embed(folder file...): each <name>.<ext> of src/<folder> as `constexpr std::string_view <name>_<ext>` in the generated
# header <folder>/<name>.h.
function(sprite_embed folder)
  if(NOT TARGET sprite_${folder})
    return()
  endif()
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/${file})
    file(READ ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/${file} text)
    cmake_path(GET file STEM name)
    string(MAKE_C_IDENTIFIER ${file} variable)
    file(CONFIGURE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/embedded/${folder}/${name}.h @ONLY CONTENT
      "#pragma once\n#include <string_view>\nnamespace sprite::${folder} {\ninline constexpr std::string_view ${variable} = R\"embedded(${text})embedded\";\n}\n")
  endforeach()
  target_include_directories(sprite_${folder} PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/embedded)
endfunction()
