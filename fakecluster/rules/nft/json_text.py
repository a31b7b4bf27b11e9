"""placeholder"""
def commands(text,known=None): raise NotImplementedError
def listing(views,nouns=None): raise NotImplementedError
