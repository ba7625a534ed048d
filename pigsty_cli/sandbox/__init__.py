"""The sandbox: real Debian machines on one Linux host, without a hypervisor.

Each node is an overlay on a shared image, boots its own systemd in a container and has its own
address on a bridge. `lifecycle.Sandbox` is the way in; the other modules each own one kind of
thing that the kernel keeps (mounts, cgroups, links and routes, packet filter rules) and can say
whether it is there, so that nothing needs to be remembered and a crash leaves nothing that `up`
can't mend.
"""
