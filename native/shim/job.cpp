// Jobs: long native work on a thread of its own, polled by the engine between steps.
#include "internal.h"

void mlo_job::start(std::function<void *(mlo_job &)> work) {
    thread = std::thread([this, work = std::move(work)] {
        mlo::log_capture capture;
        try {
            result = work(*this);
            if (!result) {
                error = (cancelled ? "cancelled" : "failed") + capture.lines();
            }
        } catch (const std::exception & e) {
            error = e.what() + capture.lines();
        } catch (...) {
            error = "unknown native error" + capture.lines();
        }
        state = result ? 1 : -1;
        mlo::wake_waiter();
    });
}

void * mlo_job::take() {
    if (state != 1 || !result) {
        mlo::set_error("the job has no result, or somebody took it");
        return nullptr;
    }
    void * taken = result;
    result = nullptr;
    return taken;
}

int32_t mlo_job_poll(mlo_job * job) {
    return job->state;
}

float mlo_job_progress(mlo_job * job) {
    return job->progress;
}

const char * mlo_job_error(mlo_job * job) {
    return job->state == -1 ? job->error.c_str() : "";
}

void mlo_job_cancel(mlo_job * job) {
    job->cancelled = true;
}

void mlo_job_free(mlo_job * job) {
    job->cancelled = true;
    job->thread.join();
    if (job->result) {
        job->drop(job->result);
    }
    delete job;
}
