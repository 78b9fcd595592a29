"""specc against GPU measurements that others published, for the models of timm that torchvision has too."""
