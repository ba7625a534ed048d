"""The thin `pigsty` command: parse, call a runner or a Salt client, render."""
