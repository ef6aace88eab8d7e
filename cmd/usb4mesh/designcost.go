package main

import "github.com/spf13/cobra"

func newDesignCostCommand() *cobra.Command  { return &cobra.Command{Use: "cost"} }
func newDesignScaleCommand() *cobra.Command { return &cobra.Command{Use: "scale"} }
