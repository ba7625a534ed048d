"""The sandbox: real Debian machines on one Linux host, without a hypervisor."""
