# llama.cpp's core, ggml's backend registry, and the files of common/ that the shim links, as one
# set of objects. Left out of common/: argument parsing, downloads, HTTP, presets, the console.
set(LLAMA_VERSION_MAJOR 0)
file(STRINGS "${MLO_LLAMA_SRC}/CMakeLists.txt" MLO_LLAMA_VERSION_LINES REGEX "^set\\(LLAMA_VERSION_(MAJOR|MINOR|PATCH) +[0-9]+\\)")
foreach(line ${MLO_LLAMA_VERSION_LINES})
  string(REGEX MATCH "LLAMA_VERSION_([A-Z]+) +([0-9]+)" _ "${line}")
  set(LLAMA_VERSION_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()
set(LLAMA_VERSION_BASE "${LLAMA_VERSION_MAJOR}.${LLAMA_VERSION_MINOR}.${LLAMA_VERSION_PATCH}")
set(LLAMA_VERSION "${LLAMA_VERSION_BASE}")
set(LLAMA_BUILD_NUMBER 0)
set(LLAMA_BUILD_COMMIT "${MLO_LLAMA_COMMIT}")
set(LLAMA_INSTALL_VERSION "${LLAMA_VERSION_BASE}")
set(BUILD_NUMBER 0)
set(BUILD_COMMIT "${MLO_LLAMA_COMMIT}")
set(BUILD_COMPILER "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
set(BUILD_TARGET "${CMAKE_SYSTEM_NAME} ${CMAKE_SYSTEM_PROCESSOR}")
configure_file("${MLO_LLAMA_SRC}/src/llama-version.h.in" "${CMAKE_BINARY_DIR}/llama-version.h" @ONLY)
configure_file("${MLO_LLAMA_SRC}/common/build-info.cpp.in" "${CMAKE_BINARY_DIR}/build-info.cpp")

set(L "${MLO_LLAMA_SRC}")
file(GLOB MLO_LLAMA_CORE "${L}/src/*.cpp")
file(GLOB MLO_LLAMA_MODELS "${L}/src/models/*.cpp")
file(GLOB MLO_COMMON "${L}/common/*.cpp" "${L}/common/jinja/*.cpp" "${L}/common/parsers/*.cpp")
foreach(unused arg console debug download hf-cache llguidance preset subproc)
  list(REMOVE_ITEM MLO_COMMON "${L}/common/${unused}.cpp")
endforeach()

add_library(mlo-llama OBJECT
  ${MLO_LLAMA_CORE} ${MLO_LLAMA_MODELS} ${MLO_COMMON}
  "${L}/ggml/src/ggml-backend-reg.cpp" "${L}/ggml/src/ggml-backend-dl.cpp"
  "${CMAKE_BINARY_DIR}/build-info.cpp")
# The model files are many and small: sixteen to a compilation, as llama.cpp itself does.
set_target_properties(mlo-llama PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
set_source_files_properties(${MLO_LLAMA_CORE} ${MLO_COMMON}
  "${L}/ggml/src/ggml-backend-reg.cpp" "${L}/ggml/src/ggml-backend-dl.cpp" "${CMAKE_BINARY_DIR}/build-info.cpp"
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)

# What whoever links these objects needs to know. common before src: both hold a unicode.h, and the
# files of src find theirs beside them.
add_library(mlo-llama-usage INTERFACE)
target_include_directories(mlo-llama-usage INTERFACE
  "${L}/include" "${L}/common" "${L}/src" "${L}/vendor" "${L}/ggml/include" "${L}/ggml/src" "${CMAKE_BINARY_DIR}")
target_link_libraries(mlo-llama-usage INTERFACE ggml-base Threads::Threads ${CMAKE_DL_LIBS})
target_compile_definitions(mlo-llama-usage INTERFACE GGML_BACKEND_DL GGML_SHARED)
target_link_libraries(mlo-llama PRIVATE mlo-llama-usage)
target_compile_options(mlo-llama PRIVATE -w -ffunction-sections -fdata-sections)
