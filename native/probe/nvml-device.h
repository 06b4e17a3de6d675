// What is asked of one of NVIDIA's devices. Readings are as readings.h says.

#pragma once

#include <string>

#include "nvml.h"
#include "readings.h"

namespace probe {

void read_device(const nvml::Calls & calls, nvml::Device device, Object & reading);

// The slices (MIG) of a device, as devices of their own under "slices".
void read_slices(const nvml::Calls & calls, nvml::Device device, Object & reading);

template <typename Call, typename... Args> std::string read_text(Call call, char (&text)[nvml::TEXT_MAX], Args... of) {
    if (call == nullptr) return missing();
    text[0] = '\0';
    const nvml::Result code = call(of..., text, nvml::TEXT_MAX);
    if (code != nvml::SUCCESS) return error_of(code);
    std::string out;
    append_text(out, text, nvml::TEXT_MAX);
    return out;
}

} // namespace probe
