"""iptables' language: iptables-save, iptables-restore and single commands, read and printed; no packets here."""

from fakecluster.rules.iptables.change import Change
from fakecluster.rules.iptables.command import Command
from fakecluster.rules.iptables.extensions import (
    MATCHES,
    REFUSED_MATCHES,
    REFUSED_TARGETS,
    REFUSED_VALUES,
    TARGETS,
    VERDICTS,
)
from fakecluster.rules.iptables.listing import Listing, specs
from fakecluster.rules.iptables.listing_matches import MATCH_WORDS
from fakecluster.rules.iptables.listing_targets import TARGET_WORDS
from fakecluster.rules.iptables.problem import RuleProblem
from fakecluster.rules.iptables.reading import read
from fakecluster.rules.iptables.restore import parse, restore
from fakecluster.rules.iptables.rule import Rule, RuleParts
from fakecluster.rules.iptables.ruleset import BUILT_IN, POLICY, Chain, Table
from fakecluster.rules.iptables.tables import Tables
from fakecluster.rules.iptables.verbose import said
from fakecluster.rules.iptables.words import split

__all__ = [
    "BUILT_IN", "MATCHES", "MATCH_WORDS", "POLICY", "REFUSED_MATCHES", "REFUSED_TARGETS", "REFUSED_VALUES", "TARGETS",
    "TARGET_WORDS", "VERDICTS", "Chain", "Change", "Command", "Listing", "Rule", "RuleParts", "RuleProblem", "Table",
    "Tables", "parse", "read", "restore", "said", "specs", "split",
]  # fmt: skip
