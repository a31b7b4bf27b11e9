"""Rules of one language shown in the other, where a faithful form exists; where none does, it is said why."""

from fakecluster.rules.translate.to_iptables import PLACES, Translation, as_iptables, as_table, one_rule
from fakecluster.rules.translate.to_nft import as_nft
from fakecluster.rules.translate.to_nft import rule as rule_as_nft
from fakecluster.rules.translate.words import NoTranslation

__all__ = ["PLACES", "NoTranslation", "Translation", "as_iptables", "as_nft", "as_table", "one_rule", "rule_as_nft"]
