"""Rules of one language shown in the other, where a faithful form exists; where none does, it is said why."""

from fakecluster.rules.translate.to_iptables import Translation, as_iptables
from fakecluster.rules.translate.to_nft import as_nft
from fakecluster.rules.translate.words import NoTranslation

__all__ = ["NoTranslation", "Translation", "as_iptables", "as_nft"]
