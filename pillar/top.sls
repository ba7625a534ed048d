# The pillar comes from the ext_pillar `pigsty` alone (extmods/_pillar/pigsty_pillar.py); none stands in files.
base: {}
