// Readings of NVIDIA's devices through its management library, opened when it is there. Opening, looking up and starting
// over after the driver went; what is asked of one device is in nvml-device.cpp.

#include <dlfcn.h>

#include <initializer_list>
#include <string>

#include "nvml-device.h"
#include "readings.h"

namespace {

// More is no machine, but a driver that is out of its mind.
constexpr unsigned DEVICES_MAX = 64;

// Kept between questions: starting the library takes long, and wakes devices that sleep.
struct Session {
    void * library = nullptr;
    std::string path;
    bool started = false;
    nvml::Calls calls{};
};

Session & session() {
    static Session * const only = new Session;
    return *only;
}

template <typename Call> void look_up(void * library, Call & call, std::initializer_list<const char *> names) {
    call = nullptr;
    for (const char * name : names) {
        if (call == nullptr) call = reinterpret_cast<Call>(dlsym(library, name));
    }
}

void look_up_all(void * library, nvml::Calls & c) {
    look_up(library, c.init, {"nvmlInit_v2", "nvmlInit"});
    look_up(library, c.shutdown, {"nvmlShutdown"});
    look_up(library, c.driver_version, {"nvmlSystemGetDriverVersion"});
    look_up(library, c.cuda_version, {"nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetCudaDriverVersion"});
    look_up(library, c.count, {"nvmlDeviceGetCount_v2", "nvmlDeviceGetCount"});
    look_up(library, c.handle, {"nvmlDeviceGetHandleByIndex_v2", "nvmlDeviceGetHandleByIndex"});
    look_up(library, c.name, {"nvmlDeviceGetName"});
    look_up(library, c.uuid, {"nvmlDeviceGetUUID"});
    look_up(library, c.memory, {"nvmlDeviceGetMemoryInfo"});
    look_up(library, c.utilization, {"nvmlDeviceGetUtilizationRates"});
    look_up(library, c.temperature, {"nvmlDeviceGetTemperature"});
    look_up(library, c.power, {"nvmlDeviceGetPowerUsage"});
    look_up(library, c.power_limit, {"nvmlDeviceGetEnforcedPowerLimit"});
    look_up(library, c.power_limit_old, {"nvmlDeviceGetPowerManagementLimit"});
    look_up(library, c.clock, {"nvmlDeviceGetClockInfo"});
    look_up(library, c.throttle,
            {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"});
    look_up(library, c.pcie_generation, {"nvmlDeviceGetCurrPcieLinkGeneration"});
    look_up(library, c.pcie_width, {"nvmlDeviceGetCurrPcieLinkWidth"});
    look_up(library, c.capability, {"nvmlDeviceGetCudaComputeCapability"});
    look_up(library, c.cores, {"nvmlDeviceGetNumGpuCores"});
    look_up(library, c.mig_mode, {"nvmlDeviceGetMigMode"});
    look_up(library, c.mig_count, {"nvmlDeviceGetMaxMigDeviceCount"});
    look_up(library, c.mig_handle, {"nvmlDeviceGetMigDeviceHandleByIndex"});
    look_up(library, c.compute_processes,
            {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"});
    look_up(library, c.graphics_processes,
            {"nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"});
    look_up(library, c.compute_processes_v1, {"nvmlDeviceGetComputeRunningProcesses"});
    look_up(library, c.graphics_processes_v1, {"nvmlDeviceGetGraphicsRunningProcesses"});
}

// Opens the first that can be opened; `tried` gets why the others can't.
void open_first(const std::vector<std::string> & candidates, probe::List & tried) {
    Session & s = session();
    for (const std::string & path : candidates) {
        void * library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (library != nullptr) {
            s.library = library;
            s.path = path;
            look_up_all(library, s.calls);
            return;
        }
        const char * reason = dlerror();
        probe::Object failure;
        failure.add("path", probe::text_of(path));
        failure.add("reason", probe::text_of(reason == nullptr ? "" : reason));
        tried.add(failure.done());
    }
}

// Closed too: after an update of the driver the same name is another file.
void leave() {
    Session & s = session();
    if (s.started && s.calls.shutdown != nullptr) s.calls.shutdown();
    if (s.library != nullptr) dlclose(s.library);
    s = Session{};
}

// After these nothing that the library says can be relied on until it is started anew.
bool ends_session(nvml::Result code) {
    return code == nvml::UNINITIALIZED || code == nvml::DRIVER_NOT_LOADED || code == nvml::GPU_IS_LOST ||
           code == nvml::RESET_REQUIRED || code == nvml::VERSION_MISMATCH || code == nvml::UNKNOWN;
}

std::string read_devices(const nvml::Calls & calls, unsigned count, bool & lost) {
    probe::List devices;
    for (unsigned i = 0; i < count && i < DEVICES_MAX; ++i) {
        nvml::Device device = nullptr;
        const nvml::Result got = calls.handle == nullptr ? nvml::UNKNOWN : calls.handle(i, &device);
        probe::Object reading;
        reading.add("index", uint64_t{i});
        if (got != nvml::SUCCESS) {
            lost = lost || ends_session(got);
            devices.add(reading.add("handle", probe::error_of(got)).done());
            continue;
        }
        probe::read_device(calls, device, reading);
        nvml::Memory memory{};
        // Of a device that fell off the bus the handle is still given out.
        if (calls.memory != nullptr) lost = lost || ends_session(calls.memory(device, &memory));
        probe::read_slices(calls, device, reading);
        devices.add(reading.done());
    }
    return devices.done();
}

} // namespace

std::string probe::read_all(const std::vector<std::string> & candidates) {
    Session & s = session();
    Object reading;
    List tried;
    if (s.library == nullptr) open_first(candidates, tried);
    reading.add("platform", "\"linux\"").add("tried", tried.done());
    if (s.library == nullptr) return reading.add("library", "null").done();
    reading.add("library", text_of(s.path));
    if (!s.started) {
        const nvml::Result begun = s.calls.init == nullptr ? nvml::UNKNOWN : s.calls.init();
        if (begun != nvml::SUCCESS) {
            leave();
            return reading.add("init", error_of(begun)).done();
        }
        s.started = true;
    }
    reading.add("init", "0");
    char text[nvml::TEXT_MAX] = {};
    reading.add("driver", read_text(s.calls.driver_version, text));
    int cuda = 0;
    const nvml::Result told = s.calls.cuda_version == nullptr ? nvml::SUCCESS : s.calls.cuda_version(&cuda);
    reading.add("cuda", s.calls.cuda_version == nullptr ? missing()
                        : told != nvml::SUCCESS         ? error_of(told)
                                                        : std::to_string(cuda));
    unsigned count = 0;
    const nvml::Result counted = s.calls.count == nullptr ? nvml::UNKNOWN : s.calls.count(&count);
    bool lost = ends_session(counted);
    reading.add("count", counted == nvml::SUCCESS ? std::to_string(count) : error_of(counted));
    reading.add("devices", read_devices(s.calls, counted == nvml::SUCCESS ? count : 0, lost));
    if (lost) leave();
    return reading.done();
}
