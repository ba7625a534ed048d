"""One module per command; each is imported only when it is called.

`pigsty <name>` runs the click object called `command` of `pigsty_cli/commands/<name>.py`; its one
line of help stands in the table of `pigsty_cli/main.py`. Errors are raised as
`pigsty_cli.errors.CliError` (or any PigstyError, with an `exit_code` if 1 is wrong), other exit
codes are set with `ctx.exit(code)`; data is printed by `pigsty_cli.output.emit`, messages by
`pigsty_cli.output.message`.
"""
