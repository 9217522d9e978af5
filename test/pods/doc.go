// Package pods tests the operator as it is installed: in a Pod, on a cluster
// with nodes, where downloads run in Pods too. The cluster is one of package
// nodes, or any other that the tests are given; see CONTRIBUTING.md. All is
// asked for and told through the API.
package pods
