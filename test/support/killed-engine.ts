// An engine that the kernel ends while it loads, as it does when memory runs out. Started by a test in place of the program;
// knows no protocol.

process.kill(process.pid, "SIGKILL");
