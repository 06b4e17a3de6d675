// What is asked of one of NVIDIA's devices. What a driver gives is copied and bounded here, and judged in src/hardware.

#include "nvml-device.h"

#include <algorithm>
#include <vector>

namespace {

// A device has seven slices at most; the rest of the indexes are empty.
constexpr unsigned SLICES_MAX = 16;
// A busy server has dozens. The list is read again while it grows, but not for ever.
constexpr unsigned PROCESSES_MAX = 4096;

template <typename T, typename Call, typename... Args>
std::string read_number(Call call, nvml::Device device, Args... of) {
    if (call == nullptr) return probe::missing();
    T value{};
    const nvml::Result code = call(device, of..., &value);
    return code == nvml::SUCCESS ? std::to_string(value) : probe::error_of(code);
}

template <typename Entry> using ProcessCall = nvml::Result (*)(nvml::Device, unsigned *, Entry *);

// [[pid, bytes], …]
template <typename Entry> std::string list_processes(ProcessCall<Entry> call, nvml::Device device) {
    unsigned capacity = 64;
    std::vector<Entry> entries;
    nvml::Result code = nvml::INSUFFICIENT_SIZE;
    unsigned count = 0;
    while (code == nvml::INSUFFICIENT_SIZE && capacity <= PROCESSES_MAX) {
        entries.assign(capacity, Entry{});
        count = capacity;
        code = call(device, &count, entries.data());
        capacity *= 4;
    }
    if (code != nvml::SUCCESS) return probe::error_of(code);
    // A count beyond what there was room for is not to be believed.
    if (count > entries.size()) return probe::error_of(nvml::UNKNOWN);
    probe::List list;
    for (unsigned i = 0; i < count; ++i) {
        list.add("[" + std::to_string(entries[i].pid) + "," + std::to_string(entries[i].used) + "]");
    }
    return list.done();
}

std::string read_processes(ProcessCall<nvml::Process> call, ProcessCall<nvml::ProcessV1> old, nvml::Device device) {
    if (call != nullptr) return list_processes(call, device);
    if (old != nullptr) return list_processes(old, device);
    return probe::missing();
}

void read_memory(const nvml::Calls & calls, nvml::Device device, probe::Object & reading) {
    nvml::Memory memory{};
    const nvml::Result code = calls.memory == nullptr ? nvml::SUCCESS : calls.memory(device, &memory);
    const bool known = calls.memory != nullptr && code == nvml::SUCCESS;
    const std::string reason = calls.memory == nullptr ? probe::missing() : probe::error_of(code);
    reading.add("total", known ? std::to_string(memory.total) : reason);
    reading.add("used", known ? std::to_string(memory.used) : reason);
}

void read_utilization(const nvml::Calls & calls, nvml::Device device, probe::Object & reading) {
    nvml::Utilization shares{};
    const nvml::Result code = calls.utilization == nullptr ? nvml::SUCCESS : calls.utilization(device, &shares);
    const bool known = calls.utilization != nullptr && code == nvml::SUCCESS;
    const std::string reason = calls.utilization == nullptr ? probe::missing() : probe::error_of(code);
    reading.add("computePercent", known ? std::to_string(shares.gpu) : reason);
    reading.add("memoryPercent", known ? std::to_string(shares.memory) : reason);
}

std::string read_capability(const nvml::Calls & calls, nvml::Device device) {
    if (calls.capability == nullptr) return probe::missing();
    int major = 0;
    int minor = 0;
    const nvml::Result code = calls.capability(device, &major, &minor);
    if (code != nvml::SUCCESS) return probe::error_of(code);
    return "\"" + std::to_string(major) + "." + std::to_string(minor) + "\"";
}

} // namespace

void probe::read_device(const nvml::Calls & calls, nvml::Device device, Object & reading) {
    char text[nvml::TEXT_MAX] = {};
    reading.add("handle", "0");
    reading.add("name", read_text(calls.name, text, device));
    reading.add("uuid", read_text(calls.uuid, text, device));
    read_memory(calls, device, reading);
    read_utilization(calls, device, reading);
    reading.add("celsius", read_number<unsigned>(calls.temperature, device, nvml::SENSOR_GPU));
    reading.add("milliwatts", read_number<unsigned>(calls.power, device));
    auto * limit = calls.power_limit != nullptr ? calls.power_limit : calls.power_limit_old;
    reading.add("milliwattsLimit", read_number<unsigned>(limit, device));
    reading.add("coreMegahertz", read_number<unsigned>(calls.clock, device, nvml::CLOCK_CORE));
    reading.add("memoryMegahertz", read_number<unsigned>(calls.clock, device, nvml::CLOCK_MEMORY));
    reading.add("throttle", read_number<unsigned long long>(calls.throttle, device));
    reading.add("pcieGeneration", read_number<unsigned>(calls.pcie_generation, device));
    reading.add("pcieWidth", read_number<unsigned>(calls.pcie_width, device));
    reading.add("capability", read_capability(calls, device));
    reading.add("cores", read_number<unsigned>(calls.cores, device));
    reading.add("computeProcesses", read_processes(calls.compute_processes, calls.compute_processes_v1, device));
    reading.add("graphicsProcesses", read_processes(calls.graphics_processes, calls.graphics_processes_v1, device));
}

void probe::read_slices(const nvml::Calls & calls, nvml::Device device, Object & reading) {
    unsigned mode = 0;
    unsigned pending = 0;
    if (calls.mig_mode == nullptr || calls.mig_count == nullptr || calls.mig_handle == nullptr) return;
    if (calls.mig_mode(device, &mode, &pending) != nvml::SUCCESS || mode == 0) return;
    unsigned count = 0;
    if (calls.mig_count(device, &count) != nvml::SUCCESS) count = 0;
    List slices;
    for (unsigned i = 0; i < std::min(count, SLICES_MAX); ++i) {
        nvml::Device slice = nullptr;
        // Indexes without a slice are no error.
        if (calls.mig_handle(device, i, &slice) != nvml::SUCCESS) continue;
        Object entry;
        entry.add("index", uint64_t{i});
        read_device(calls, slice, entry);
        slices.add(entry.done());
    }
    reading.add("slices", slices.done());
}
