"""Network policies as a CNI plugin enforces them: policies and Pods in, rule text for one node out."""
