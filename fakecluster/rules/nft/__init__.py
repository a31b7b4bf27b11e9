"""nft's language: text and JSON to commands and back. It knows no packets and no kernel."""

from fakecluster.rules.nft.errors import NftError
from fakecluster.rules.nft.parser import parse
from fakecluster.rules.nft.printer import ChainView, Options, SetView, TableView, ruleset
from fakecluster.rules.nft.view import tables

__all__ = ["ChainView", "NftError", "Options", "SetView", "TableView", "parse", "ruleset", "tables"]
